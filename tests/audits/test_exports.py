from __future__ import annotations

import csv
import io
import json
from typing import Any

from audits.exports import csv_lines, json_lines
from audits.log.proof import prove, verify_proof
from tests.audits.searched import put, search


def test_exports(log: Any) -> None:
    put(log, *({"tag": "clip:held", "partner": '=HYPERLINK("x")', "job": "clip,1"} for _ in range(2)))
    log.integrate()
    entries = search(log).entries
    lines = list(json_lines(entries))
    assert [json.loads(line)["index"] for line in lines] == [0, 1]
    # The leaf stands in the line byte for byte, so that its proof can be checked from the export.
    leaf = lines[1].removeprefix('{"index":1,"leaf":').removesuffix("}\n").encode()
    proof = prove(log.folder, log.key.vkey, 1).render()
    assert verify_proof(proof, leaf, log.key.vkey).size == 2
    rows = list(csv.DictReader(io.StringIO("".join(csv_lines(entries)))))
    assert rows[0]["partner"] == '\'=HYPERLINK("x")'
    assert (rows[1]["index"], rows[1]["job"], rows[1]["at"]) == ("1", "clip,1", "2026-11-23T00:00:00.000Z")
