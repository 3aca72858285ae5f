"""The sources of `scrape`: where files come from (`kind`), and how each is read (`reader`)."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from stages.common.sections import Commit, Count, Name, Positive, Seconds, Section

# readers -------------------------------------------------------------------------------------------------------------


class HtmlReader(Section):
    """Names out of a page; navigation, references, footnote marks, hidden and script text are left out (web_page.py)."""

    without: list[str]  # headings whose sections are left out, in any case: [See also, References]
    notes: Literal["keep", "apart"]  # text in parentheses: stays in `name`, or goes to a column `note`


class HtmlList(HtmlReader):
    kind: Literal["html_list"]
    within: str  # XPath of the parts of the page whose `li` are read: //body


class HtmlTable(HtmlReader):
    kind: Literal["html_table"]
    within: str  # XPath of the parts of the page whose tables are read
    column: str | Positive  # its header's text in any case, or its number from the left, from 1


class HtmlXpath(HtmlReader):
    kind: Literal["html_xpath"]
    xpath: str  # of elements, attributes or text; `re:` is EXSLT's regular expressions


class HtmlRows(Section):
    """Rows of a page's table, or of all of its tables that are alike, with the columns that its headers name."""

    kind: Literal["html_rows"]
    within: str  # XPath of the parts of the page whose tables are read
    without: list[str]  # headings whose sections are left out, in any case
    table: Positive | str | list[str]  # its number, from 1; its caption or the heading above it; or all columns of each table


class HtmlItems(Section):
    """Items of a page's lists: columns item, heading (the one above it), parent (the item that it lies in; of a dd its dt)."""

    kind: Literal["html_items"]
    within: str  # XPath of the parts of the page whose lists are read
    without: list[str]  # headings whose sections are left out, in any case


class Csv(Section):
    """CSV and its kin; encoding, quotes and what else varies are found out."""

    kind: Literal["csv"]
    delimiter: Annotated[str, Field(pattern=r"^(auto|[^\r\n\"\\])$")]  # one character; auto: the one that fits best


class JsonRecords(Section):
    """The rows that lie inside a JSON document."""

    kind: Literal["json_records"]
    at: str  # where: data, data[*].qa, elements.*; "" for the document itself (stages/sources/json_path.py)


class JsonLinesRecords(Section):
    """The rows that lie inside each line of JSON Lines."""

    kind: Literal["jsonl_records"]
    at: str  # where in a line: qa, turns[*].answers


class Xml(Section):
    """Elements of XML documents; names as the file writes them, without prefixes."""

    kind: Literal["xml"]
    rows: str  # XPath of the elements that are a row each: //QAPair
    fields: dict[str, str]  # column: XPath from the row: Question/@qtype, ../Focus; {}: its attributes and children by name


class Text(Section):
    """Text or Markdown: columns text, heading (of Markdown, the one above), file."""

    kind: Literal["text"]
    rows: Literal["file", "paragraph", "line"]


class Excel(Section):
    """A sheet of an .xlsx file; the first row with anything in it is the header."""

    kind: Literal["excel"]
    sheet: str  # its name; "" for the first one that can be seen and has rows


PlainReader = Literal["json", "jsonl", "csv", "excel", "parquet", "medquad", "reviews_csv", "lines"]
KindReader = Annotated[
    HtmlList | HtmlTable | HtmlXpath | HtmlRows | HtmlItems | Csv | JsonRecords | JsonLinesRecords | Xml | Text | Excel,
    Field(discriminator="kind"),
]
Reader = Annotated[
    Annotated[PlainReader, Tag("plain")] | Annotated[KindReader, Tag("kind")],
    Discriminator(lambda value: "kind" if isinstance(value, dict | Section) else "plain"),
]

# kinds ---------------------------------------------------------------------------------------------------------------


def _named_alike(columns: object) -> object:
    """A list of columns that keep their names, as the mapping that it stands for."""
    alike = isinstance(columns, list) and all(isinstance(name, str) for name in columns) and len(set(columns)) == len(columns)
    return {name: name for name in columns} if alike else columns


Columns = Annotated[dict[str, str], BeforeValidator(_named_alike)]


class Source(Section):
    reader: Reader
    encoding: str  # of text files: utf-8, latin-1, …; auto: by byte order mark, UTF-8, server's header, <meta>
    columns: Columns  # our name: the source's column, or a list of those named alike; all must be there; `name` alone: names
    keep: list[str]  # columns carried along where a source has them
    licence: str  # noted in sources.json
    members: str  # glob of the files to read in zip, tar and gz archives, each a folder of files; "": archives stay closed
    max_bytes: Positive  # of one download, and of all that one archive holds


class LocalSource(Source):
    kind: Literal["local"]
    files: str  # glob below the dataset's `source`


FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
MaybeSha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Address = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+([/?#]\S*)?$")]  # no password: this file is committed


class WebSource(Source):
    """Pages and files of web servers, fetched once and then read from `.cache/http`."""

    kind: Literal["web"]
    urls: Annotated[dict[FileName, Address], Field(min_length=1)]  # the name that each gets below `raw`: its address
    sha256: dict[str, MaybeSha256]  # of each, gzip transport undone; "": not pinned, whatever came first is kept
    refresh: Count  # raise it to ask the servers of what is not pinned whether it changed
    contact: str  # address for the servers' operators, sent in User-Agent; "" for none
    per_host_seconds: Annotated[float, Field(ge=0)]  # between two requests to a host; a longer Crawl-delay wins
    hosts_at_once: Positive  # asked side by side
    connect_seconds: Seconds  # until a server answers at all
    read_seconds: Seconds  # without a byte
    total_seconds: Seconds  # for a whole file, waits and retries included
    retries: Count  # after failures that may pass; a try that brought bytes to resume from does not count
    allow_private: bool  # whether addresses of private networks and this machine may be visited

    @model_validator(mode="after")
    def _every_file_has_both(self):
        if different := sorted(set(self.urls) ^ set(self.sha256)):
            raise ValueError(f'urls and sha256 must name the same files ("" where not pinned); only in one: {different}')
        return self


class HubSource(Source):
    """Files of a dataset of the Hugging Face hub at one commit; `refs/convert/parquet` has one for most datasets."""

    kind: Literal["hub"]
    repo: str  # owner/name
    revision: Commit
    files: str  # glob in the repository


class HubRows(Source):
    """One split of a dataset of the Hugging Face hub at one commit, as the package datasets streams it; no script is ever run.

    It takes Parquet, JSON, CSV and the like as the dataset's own page does. Labels come as their names.
    """

    kind: Literal["hub"]
    repo: str  # owner/name
    revision: Commit
    configuration: Annotated[str, Field(pattern=r"^\w[^<>:/\\|?*]*$")]  # default, where the dataset names none
    split: Annotated[str, Field(pattern=r"^\w+(\.\w+)*$")]  # train, validation, test, or what the dataset calls it
    reader: Literal["datasets"]
    encoding: Literal["utf-8"]  # what datasets reads
    members: Literal[""]  # datasets opens archives by itself
    max_bytes: Positive  # of the rows as JSON Lines


def _is_of_rows(source: object) -> bool:
    if isinstance(source, Section):
        return isinstance(source, HubRows)
    return isinstance(source, dict) and (source.get("reader") == "datasets" or "files" not in source and "split" in source)


Hub = Annotated[
    Annotated[HubSource, Tag("files")] | Annotated[HubRows, Tag("rows")],
    Discriminator(lambda source: "rows" if _is_of_rows(source) else "files"),
]


class KaggleSource(Source):
    """One version of a Kaggle dataset; needs `pip install kagglehub`, and a key for some datasets."""

    kind: Literal["kaggle"]
    dataset: Annotated[str, Field(pattern=r"^[\w-]+/[\w-]+$")]  # owner/name
    version: Count  # 0: not pinned, the newest there is; sources.json says which that was
    files: str  # glob in the dataset


class Scrape(Section):
    sources: Annotated[
        dict[
            Name,
            Annotated[LocalSource | WebSource | Hub | KaggleSource, Field(discriminator="kind")],
        ],
        Field(min_length=1),
    ]  # by the name of their folder in `raw`
