"""Documents say what is: links lead somewhere, named files and commands exist, the tables are the registry."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from deploy.local.plan import PORTS
from shared.contracts.registry import CONSUMERS, PRODUCERS
from tests.contract.test_registry import short

ROOT = Path(__file__).parents[2]
TREES = ("boxoffice", "deploy", "docs", "services", "shared", "tests")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for tree in TREES for path in (ROOT / tree).rglob("*.md"))])
BY_DOCUMENT = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in DOCUMENTS]

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
#: A path of ours between backticks, as in `shared/messaging/link.py`.
_PATH = re.compile(r"`((?:deploy|docs|services|shared|tests)/[a-z0-9_./-]+|boxoffice/[a-z_]+\.py)`")


def anchors(path: Path) -> set[str]:
    """The headings of a document, as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ (.+)$", _CODE_BLOCK.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    """Relative links of a document that lead nowhere."""
    broken = []
    for link in _LINK.findall(_CODE_BLOCK.sub("", path.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def table_under(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading of the architecture page, without its head."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def names_in(cell: str) -> set[str]:
    """The names between backticks."""
    return set(re.findall(r"`([A-Za-z]+)`", cell))


def test_documents_are_found() -> None:
    assert {ROOT / "README.md", ROOT / "docs" / "architecture.md"} <= set(DOCUMENTS)


@pytest.mark.parametrize("path", BY_DOCUMENT)
def test_relative_links_resolve(path: Path) -> None:
    assert broken_links(path) == []


@pytest.mark.parametrize("path", BY_DOCUMENT)
def test_named_files_exist(path: Path) -> None:
    text = path.read_text()
    # A walkthrough names what whoever follows it will have made.
    made = set(re.findall(r"^New file `([^`\n]+)`:$", text, re.MULTILINE))
    assert [name for name in _PATH.findall(text) if name not in made and not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", BY_DOCUMENT)
def test_named_commands_exist(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {name for name in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE) if name not in targets} == set()


def test_a_dead_link_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](other.md) [b](#here) [c](#there) [d](page.md#here) [e](https://example.com/x)\n")
    assert broken_links(page) == ["other.md", "#there"]


def test_the_table_of_messages_is_the_registry() -> None:
    kinds = {True: "request", False: "fact"}
    expected = {
        short(model): (
            kinds[model.COMMAND],
            producer,
            {service for service, models in CONSUMERS.items() if model in models},
        )
        for model, producer in PRODUCERS.items()
    }
    written = {
        row[0].strip("`"): (row[1], row[2], {name.strip() for name in row[3].split(",") if name.strip()})
        for row in table_under("Messages")
    }
    assert written == expected


def test_the_table_of_services_is_the_registry() -> None:
    expected = {
        service: (
            {short(model) for model in models},
            {short(model) for model, producer in PRODUCERS.items() if producer == service},
        )
        for service, models in CONSUMERS.items()
    }
    written = {}
    for row in table_under("Services"):
        name = re.match(r"\[([a-z]+)\]", row[0])
        assert name is not None, row
        written[name[1]] = (names_in(row[2]), names_in(row[3]))
    assert written == expected


def test_every_service_has_a_page_that_says_what_happens_if_it_dies() -> None:
    for service in CONSUMERS:
        page = (ROOT / "services" / service / "README.md").read_text()
        assert re.search(r"^## .*if it dies$", page, re.MULTILINE | re.IGNORECASE), service
        for model in (*CONSUMERS[service], *(one for one, producer in PRODUCERS.items() if producer == service)):
            assert f"`{short(model)}`" in page, (service, model)


def test_every_decision_is_listed_and_says_what_would_change_it() -> None:
    folder = ROOT / "docs" / "adr"
    pages = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    assert [int(path.name[:4]) for path in pages] == list(range(1, len(pages) + 1))
    listed = (folder / "README.md").read_text()
    for path in pages:
        text = path.read_text()
        assert f"]({path.name})" in listed
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
            "What would change our mind",
        ]
        assert len(text.splitlines()) <= 60, f"{path.name} is longer than a page"


def unlisted(index: Path, documents: list[Path]) -> list[str]:
    """Documents that an index does not link to. A folder's README stands for what is beside it."""
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in _LINK.findall(index.read_text())}
    return [
        path.name for path in documents if path != index and not {path, path.parent / "README.md"} - {index} & linked
    ]


def test_the_index_lists_every_document() -> None:
    index = ROOT / "docs" / "README.md"
    documents = [path for path in DOCUMENTS if path.parts[len(ROOT.parts)] != "tests"]
    assert len(documents) > 20
    assert unlisted(index, documents) == []


def test_a_document_that_is_not_listed_is_noticed(tmp_path: Path) -> None:
    index, listed, more = tmp_path / "README.md", tmp_path / "listed.md", tmp_path / "more.md"
    index.write_text("[x](listed.md#here)\n")
    assert unlisted(index, [index, listed, more]) == ["more.md"]


def test_the_readme_names_the_ports_of_the_local_stack() -> None:
    text = (ROOT / "README.md").read_text()
    for name, port in PORTS.items():
        assert re.search(rf"\b{port}\b", text), name


def test_the_picture_names_every_service() -> None:
    picture = ET.parse(ROOT / "docs" / "parts.svg")
    texts = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert set(CONSUMERS) <= texts
    messages = {text for text in texts if text and text in {short(model) for model in PRODUCERS}}
    assert len(messages) >= 6
