"""Draw what training and judging left: `affinage plots` for the work tree, `… HEAD my-exp` for revisions.

Writes to `plots/` (git-ignored) one PNG and one SVG a chart, and `index.html` with all of them, interactive. Nothing is
fetched, neither here nor by the page: Vega comes with the package vl-convert-python. New models need no entry anywhere.

DVC's own pages load Vega from a server; with `plots/template.html`, written here too, they need none:

    dvc plots diff HEAD my-exp --html-template plots/template.html
"""

import html
from pathlib import Path
from typing import Annotated

import typer

from affinage.history.revisions import metrics_of
from affinage.plotting import charts, shared
from stages.common.errors import StageError
from stages.common.files import atomic_directory
from stages.common.params import FILE, read

OUT = Path("plots")
VEGA_LITE = "5.21"  # of the versions in the package, the one that DVC's templates are written for
WORK_TREE = "the work tree"


def bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script; it defines `vegaEmbed`."""
    import vl_convert

    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    return "(() => {\n" + script.replace("</script", "<\\/script") + "\n})();"  # its own names stay its own


STYLE = """:root { color-scheme: light dark; --paper: #fff; --ink: #1d2226; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181b; --ink: #e4e2dc; } }
body { margin: 0; padding: 1.5rem clamp(1rem, 4vw, 2.5rem); font-family: sans-serif; }
html { background: var(--paper); color: var(--ink); }
h1 { font-size: 1.5rem; font-weight: 400; margin: 0 0 1.5rem; }
figure { margin: 0 0 2.5rem; overflow-x: auto; }
.vega-embed { max-width: 100%; } .vega-embed svg { display: block; }
:focus-visible { outline: 2px solid #1f5fc4; outline-offset: 2px; }"""
DRAW = """const dark = matchMedia("(prefers-color-scheme: dark)");
const draw = () => {
  for (const [name, spec] of Object.entries(charts)) {
    const fits = Math.max(1, Math.floor((document.body.clientWidth - 40) / 345));
    const shown = { ...spec, config: dark.matches ? looks.dark : spec.config };
    if (fits === 1) shown.title = { ...spec.title, subtitle: spec.title.subtitle.split("; ") };
    if (spec.columns) shown.columns = Math.min(spec.columns, fits);
    const actions = { export: true, source: false, compiled: false, editor: false };
    vegaEmbed(`#${name}`, shown, { renderer: "svg", actions });
  }
};
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
dark.addEventListener("change", draw);
draw();"""


def page(drawn: dict[str, dict], script: str, of: str = "") -> str:
    """All charts on one page that loads nothing; as many side by side as there is room for, light or dark.

    Args:
        drawn: specifications by name.
        script: Vega.
        of: what they are of, in words.
    """
    figures = "\n".join(f'<figure id="{name}" tabindex="0"></figure>' for name in drawn)
    title = html.escape(f"Plots of {of}" if of else "Plots")
    data = f"const looks = {{dark: {shared.as_text(shared.DARK)}}};\nconst charts = {shared.as_text(drawn)};"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{STYLE}\n</style></head>\n<body>\n<h1>{title}</h1>\n{figures}\n"
        f"<script>\n{script}\n{data}\n{DRAW}\n</script>\n</body></html>\n"
    )


def template(script: str) -> str:
    """A page for DVC to put its charts into."""
    return (
        '<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>DVC plots</title>{refresh_tag}\n'
        f"<script>\n{script}\n</script></head>\n<body>\n{{plot_divs}}\n</body></html>\n"
    )


def draw(revisions: list[str], out: Path = OUT) -> list[Path]:
    """Draw every chart; returns the files, the page first.

    Raises:
        StageError: if there is nothing to draw.
    """
    import vl_convert

    files = {name: metrics_of(name) for name in revisions} or {WORK_TREE: metrics_of(None)}
    bases = {name: model["base"] for name, model in read().get("models", {}).items()}
    drawn = charts.every(files, bases)
    if not drawn:
        raise StageError(FILE, f"no tables in metrics/ of {', '.join(files)}", "a finished run", "dvc repro")
    script = bundle()
    with atomic_directory(out) as folder:
        (folder / "index.html").write_text(page(drawn, script, ", ".join(files)), encoding="utf-8")
        (folder / "template.html").write_text(template(script), encoding="utf-8")
        for name, spec in drawn.items():
            (folder / f"{name}.png").write_bytes(vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=2))
            (folder / f"{name}.svg").write_text(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE), encoding="utf-8")
    return [out / "index.html", *(out / f"{name}.png" for name in drawn)]


def command(
    revisions: Annotated[list[str] | None, typer.Argument(help="Commits or experiments. [default: the work tree]")] = None,
    out: Annotated[Path, typer.Option(help="The folder to write.")] = OUT,
) -> None:
    """Draw training and scores: one page with all charts, and each as PNG and SVG.

    Example: affinage plots HEAD my-experiment
    """
    print("\n".join(map(str, draw(revisions or [], out))))
