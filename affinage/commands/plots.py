"""Draw what training and judging left: `affinage plots` for the work tree, `… HEAD my-exp` for revisions.

Writes to `plots/` (git-ignored) one PNG and one SVG a chart, and `index.html` with all of them, interactive. Nothing is
fetched, neither here nor by the page: Vega comes with the package vl-convert-python. New models need no entry anywhere.

DVC's own pages load Vega from a server; with `plots/template.html`, written here too, they need none:

    dvc plots diff HEAD my-exp --html-template plots/template.html
"""

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
WORK_TREE = "work tree"


def bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script; it defines `vegaEmbed`."""
    import vl_convert

    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    return "(() => {\n" + script.replace("</script", "<\\/script") + "\n})();"  # its own names stay its own


def page(drawn: dict[str, dict], script: str) -> str:
    """All charts on one page that loads nothing."""
    bodies = "\n".join(f'<div id="{name}"></div>' for name in drawn)
    calls = "\n".join(f'vegaEmbed("#{name}", {shared.as_text(spec)});' for name, spec in drawn.items())
    style = "body{font-family:sans-serif;margin:2rem;background:#fff}div{margin-bottom:2rem}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Plots</title><style>{style}</style></head>\n'
        f"<body>\n{bodies}\n<script>\n{script}\n{calls}\n</script>\n</body></html>\n"
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
        (folder / "index.html").write_text(page(drawn, script), encoding="utf-8")
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
