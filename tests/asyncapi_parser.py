"""The AsyncAPI initiative's own parser, run in an embedded V8: what it says of a document."""

from pathlib import Path
from typing import Any

import orjson
from py_mini_racer import MiniRacer

from tests.waiting import until

_SOURCE = Path(__file__).parent / "contract" / "asyncapi" / "parser-3.6.3.js"
#: What a browser has and V8 alone has not. Nothing may be fetched.
_BROWSER = """
var self = globalThis, window = globalThis;
var location = {href: 'http://localhost/', protocol: 'http:'}, navigator = {userAgent: ''};
var console = {log() {}, warn() {}, error() {}, info() {}};
var fetch = function () { throw new Error('offline'); };
var Headers = class {}, Request = class {}, Response = class {}, AbortController = class {};
"""
_ASK = """
var answer = null;
parser.parse(%s).then(
  found => { answer = JSON.stringify(found.diagnostics); },
  error => { answer = JSON.stringify([{severity: 0, code: 'crashed', path: [], message: String(error)}]); }
);
"""
#: That the document is of 3.0 and 3.1 exists; everything else counts.
_ALLOWED = "asyncapi-latest-version"


class Parser:
    """Loading it takes a second, so that one is used for several documents."""

    def __init__(self) -> None:
        self._engine = MiniRacer()
        self._engine.eval(_BROWSER)
        self._engine.eval(_SOURCE.read_text(encoding="utf-8"))
        self._engine.eval("var parser = new AsyncAPIParser();")

    async def complaints(self, document: Any) -> list[str]:
        """Every error, warning and hint about a document, with where it is."""
        # A string inside JSON is one inside JavaScript as well.
        self._engine.eval(_ASK % orjson.dumps(orjson.dumps(document).decode()).decode())

        def answer() -> str:
            given = self._engine.eval("answer")
            return given if isinstance(given, str) else ""

        found = orjson.loads(await until(answer, 100, "the parser's answer"))
        return [f"{one['code']} at {'/'.join(map(str, one['path']))}: {one['message']}"[:300] for one in found
                if one["code"] != _ALLOWED]  # fmt: skip

    def close(self) -> None:
        """End the engine."""
        self._engine.close()
