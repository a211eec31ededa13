"""`freehold data import`: both formats, every way in, and what is said about rows that are wrong."""

import csv
import io
import json

import pytest

from command import LOCAL, OK, PARTIAL, REFUSED, USAGE
from conftest import events, new_name, records

BAD = 4  # lines of BOOKS that are wrong, by the server's or the command's judgement
BOOKS = """author,title,pages
1,good,10
1,"two
lines",20
9,no such author,1
1,not a number,many
1,too,many,fields
2,also good,
1,quote" inside,3
2,good too,30
"""
SAID = {5: "", 6: "pages", 7: "", 9: ""}  # line: column, where it lies in one


@pytest.fixture
def rows_file(folder):
    def write(text, end=".csv"):
        path = folder / (new_name("rows") + end)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def authors(mine):
    for number in (1, 2):
        mine("data", "create", "authors", number, f"name=n{number}")


def notes(mine):
    return {one["fields"]["id"]: one["fields"]["note"] for one in records(mine, "things")}


def test_csv(mine, rows_file):
    """RFC 4180, and each type by its column."""
    text = "id,flag,mid,big,precise,price,label,note,raw,at,day,ref,doc\r\n"
    text += 'all,true,-1,9223372036854775807,0.1,12.50,007,"a ""b"", \nÜ",\\x00ff,2026-11-21T01:02:03.5Z,'
    text += '2026-11-21,0197a3c4-5b6d-7e8f-9012-3456789abcde,"{""a"": [1]}"\r\n'
    text += 'empty,,,,,,"","",,,,,\r\n'
    text += "\r\nlast,f,0,0,-1e300,7,true,12,AP8=,,,,null"
    result = mine.json("data", "import", "things", rows_file("\ufeff" + text))
    assert {name: result[name] for name in ("rows", "replayedRows", "errors", "commits", "dryRun")} == {
        "rows": 3, "replayedRows": 0, "errors": 0, "commits": 1, "dryRun": False,
    }  # fmt: skip
    got = {one["fields"].pop("id"): one["fields"] for one in records(mine, "things")}
    assert got["all"] == {
        "flag": True, "mid": -1, "big": 2**63 - 1, "precise": 0.1, "price": "12.50", "label": "007",
        "note": 'a "b", \nÜ', "raw": "AP8=", "at": "2026-11-21T01:02:03.500Z", "day": "2026-11-21",
        "ref": "0197a3c4-5b6d-7e8f-9012-3456789abcde", "doc": got["all"]["doc"],
    }  # fmt: skip
    assert json.loads(got["all"]["doc"]) == {"a": [1]}
    assert got["empty"] == {**dict.fromkeys(got["all"]), "label": "", "note": ""}
    assert got["last"]["label"] == "true" and got["last"]["note"] == "12" and got["last"]["price"] == "7.00"
    assert got["last"]["precise"] == -1e300 and got["last"]["doc"] == "null"


def test_ndjson(mine, rows_file):
    lines = [
        {"id": "a", "doc": {"x": [1, None, {"y": "z"}]}, "note": "line\nbreak", "big": -(2**63)},
        {"id": "b", "doc": [], "price": "1.10", "raw": "AP8=", "flag": False, "note": None},
        {"id": "c", "price": 3, "precise": 2.5, "mid": 5},
    ]
    text = "\n\n".join(json.dumps(line) for line in lines)
    assert mine.json("data", "import", "things", rows_file(text, ".ndjson"))["rows"] == 3
    got = {one["fields"]["id"]: one["fields"] for one in records(mine, "things")}
    assert json.loads(got["a"]["doc"]) == lines[0]["doc"] and got["a"]["big"] == -(2**63)
    assert (got["b"]["doc"], got["b"]["price"], got["b"]["raw"], got["b"]["note"]) == ("[]", "1.10", "AP8=", None)
    assert (got["c"]["price"], got["c"]["precise"], got["c"]["mid"]) == ("3.00", 2.5, 5)
    assert got["a"]["mid"] == 7  # left out, so the default


@pytest.mark.parametrize(
    "text, words",
    [
        ("id,note\nk,v\n", []),
        ('{"id": "k", "note": "v"}\n', []),
        ("id;note\nk;v", ["--delimiter", ";"]),
        ("id\tnote\nk\tv", ["--delimiter", "tab"]),
        ('\n{"id": "k", "note": "v"}', ["--format", "ndjson"]),
    ],
)
def test_standard_input(mine, text, words):
    assert mine.json("data", "import", "things", "-", *words, stdin=text)["rows"] == 1
    assert notes(mine) == {"k": "v"}


def test_tsv_and_no_rows(mine, rows_file):
    assert mine.json("data", "import", "things", rows_file("id\tnote\nk\ta,b\n", ".tsv"))["rows"] == 1
    assert notes(mine) == {"k": "a,b"}
    assert mine.json("data", "import", "things", rows_file("id,note\n"))["rows"] == 0
    assert mine.json("data", "import", "things", "-", "--format", "ndjson", stdin="")["rows"] == 0


def test_replace_and_insert(mine, rows_file):
    first = rows_file("id,note\na,1\nb,1\n")
    second = rows_file("id,note\nb,2\nc,2\n")
    mine("data", "import", "things", first)
    assert mine.json("data", "import", "things", second)["rows"] == 2
    assert notes(mine) == {"a": "1", "b": "2", "c": "2"}
    third = rows_file("id,note\nd,3\nc,3\ne,3\n")
    result = mine("data", "import", "things", third, "--insert", code=PARTIAL)
    assert f"{third}:3: row 2: " in result.err and "exists" in result.err
    assert notes(mine) == {"a": "1", "b": "2", "c": "2"}
    result = mine("data", "import", "things", third, "--insert", "--max-errors", "1", code=PARTIAL)
    assert f"{third}:3: row 2: " in result.err and result.out.startswith("imported 2 rows")
    assert notes(mine) == {"a": "1", "b": "2", "c": "2", "d": "3", "e": "3"}


def test_the_files_order_holds(mine, rows_file):
    """A key that comes again, in the same commit, in the next, and in one far behind."""
    lines = ["id,note"] + [f"k{number % 7},{number}" for number in range(100)] + ["far,1", *["x,1"] * 3, "far,2"]
    path = rows_file("\n".join(lines))
    assert mine.json("data", "import", "things", path, "--batch", "3", "--concurrency", "16")["rows"] == 105
    assert notes(mine) == {f"k{n % 7}": str(n) for n in range(93, 100)} | {"far": "2", "x": "1"}


def test_wrong_rows(mine, authors, rows_file):
    path = rows_file(BOOKS)
    result = mine("data", "import", "books", path, "--max-errors", BAD, code=PARTIAL)
    said = [line.removeprefix(f"{path}:").partition(":") for line in result.err.splitlines()]
    assert sorted(int(line) for line, _, _ in said) == sorted(SAID), result
    for line, _, text in said:
        column = SAID[int(line)]
        assert f", column {column}: " in text if column else True
    assert result.out.startswith("imported 4 rows") and "4 left out" in result.out
    wanted = [(1, "good", 10), (1, "two\nlines", 20), (2, "also good", None), (2, "good too", 30)]
    assert [tuple(one["fields"].values()) for one in records(mine, "books")] == wanted
    # Once more, as JSON: the good rows are known already.
    result = mine("data", "import", "books", path, "--max-errors", "9", "-o", "json", code=PARTIAL)
    assert (result.json["rows"], result.json["errors"], result.json["replayedRows"]) == (4, 4, 4)
    assert sorted(error["line"] for error in result.errors) == sorted(SAID)
    assert {error["file"] for error in result.errors} == {str(path)}
    assert all(error["message"] and error["row"] < error["line"] for error in result.errors)
    assert [tuple(one["fields"].values()) for one in records(mine, "books")] == wanted
    assert sum(len(event["changes"]) for event in events(mine)) == 2 + 4


def test_too_many_wrong_rows(mine, authors, rows_file):
    path = rows_file(BOOKS)
    for allowed in range(BAD):
        result = mine("data", "import", "books", path, "--max-errors", allowed, "-o", "json", code=PARTIAL)
        assert len(result.errors) == allowed + 1 == result.json["errors"]
    stopped = mine("data", "import", "books", path, code=PARTIAL)
    assert "stopped before the end" in stopped.err and "--max-errors" in stopped.err
    assert mine("data", "import", "books", path, "--max-errors", BAD, "--quiet", code=PARTIAL)
    assert len(records(mine, "books")) == 4


def test_one_wrong_row_among_many(mine, authors, rows_file):
    """Found by the server only, in the middle of a full commit."""
    lines = ["author,title", *(f"{9 if number == 321 else 1},t{number:04}" for number in range(1200))]
    path = rows_file("\n".join(lines))
    result = mine("data", "import", "books", path, "--max-errors", "1", code=PARTIAL)
    assert f"{path}:323: row 322" in result.err
    assert {one["fields"]["title"] for one in records(mine, "books")} == {f"t{n:04}" for n in range(1200) if n != 321}


@pytest.mark.parametrize(
    "text, end, place",
    [
        ("", ".csv", "1: no header"),
        ("id,,x\n", ".csv", "1: column 2 of the header has no name"),
        ("id,note,id\n", ".csv", "1: columns 1 and 3 have the same name"),
        ("id,nope\n", ".csv", "1: table things has no column 'nope'"),
        ("note\nx\n", ".csv", "1: the key's column 'id' is missing"),
        ("id,note\n\xff,x\n".encode("latin-1"), ".csv", "2: row 1"),
        ('id,note\na,b\nc,"open\n\n', ".csv", "3: row 2: the quote opened in line 3 is never closed"),
        ("id,note\na,b\n,c\n", ".csv", "3: row 2, column id: the key is missing"),
        ('{"id": "a"}\n{"id": "b", "id": "c"}\n', ".ndjson", "2: row 2: not JSON"),
        ('{"id": "a"}\n\n[1]\n', ".ndjson", "3: row 2: not a JSON object"),
        ('{"id": "a", "nope": 1}\n', ".ndjson", "1: row 1, column nope"),
        ('{"id": "a"}\n{"note": "x"}\n', ".jsonl", "2: row 2, column id: the key is missing"),
        ('{"id": "a", "mid": "x"}\n', ".ndjson", "1: row 1, column mid: 'x' is not"),
        ('{"id": {"a": 1}}\n', ".ndjson", "1: row 1, column id: a key is text"),
    ],
)
def test_broken_files_name_the_place(mine, rows_file, text, end, place):
    path = rows_file(text, end)
    result = mine("data", "import", "things", path, code=None)
    assert result.code == (PARTIAL if ": row" in place else USAGE)
    assert f"{path}:{place}" in result.err, result


def test_wrong_calls(mine, folder):
    assert "cannot open" in mine("data", "import", "things", folder / "no-such.csv", code=LOCAL).err
    assert "did you mean 'things'" in mine("data", "import", "thing", "-", stdin="id\n", code=REFUSED).err
    for words in (["--format", "xml"], ["--batch", "501"], ["--concurrency", "0"], ["--max-errors", "-1"],
                  ["--delimiter", '"'], ["--types", "id"], ["--types", "id=blob"]):  # fmt: skip
        mine("data", "import", "things", "-", *words, stdin="id\nx\n", code=USAGE)
    assert records(mine, "things") == []


def test_dry_run(mine, authors, rows_file):
    path = rows_file(BOOKS)
    result = mine("data", "import", "books", path, "--dry-run", "--max-errors", "9", "-o", "json", code=PARTIAL)
    assert result.json["dryRun"] is True and result.json["rows"] == 4
    assert sorted(error["line"] for error in result.errors) == sorted(SAID)
    assert records(mine, "books") == [] and len(events(mine)) == 2


def test_again(mine, rows_file):
    path = rows_file("id,note\na,1\nb,2\n")
    mine("data", "import", "things", path)
    told = mine("data", "import", "things", path)
    assert "2 were written by an earlier run" in told.out
    mine("data", "update", "things", "a", "note=changed")
    mine("data", "import", "things", path)
    assert notes(mine)["a"] == "changed"
    assert mine.json("data", "import", "things", path, "--again")["replayedRows"] == 0
    assert notes(mine) == {"a": "1", "b": "2"}
    assert len(events(mine)) == 3


def test_with_a_tenants_token_only(freehold, tenant, rows_file):
    token = freehold.token("--tenant", tenant["slug"], "--role", "writer")
    address = freehold.json("context", "show")["settings"]["address"]["value"]
    holder = freehold.but(FREEHOLD_DATA_DIR=None, FREEHOLD_ADDRESS=address, FREEHOLD_TOKEN=token)
    path = rows_file("id,label,mid\n1,7,8\n")
    assert "--key" in holder("data", "import", "things", path, code=USAGE).err
    holder("data", "import", "things", path, "--key", "id", code=PARTIAL)  # 7 looks like a number
    told = holder.json("data", "import", "things", path, "--key", "id", "--types", "label=text")
    assert told["rows"] == 1
    fields = holder.json("data", "get", "things", "1")["fields"]
    assert (fields["label"], fields["mid"]) == ("7", 8)
    reader = freehold.token("--tenant", tenant["slug"], "--role", "reader")
    refused = holder("data", "import", "things", path, "--key", "id", FREEHOLD_TOKEN=reader, code=REFUSED)
    assert "PERMISSION_DENIED" in refused.err


def test_two_at_once(mine, rows_file):
    """The same file by two commands at the same time: conflicts are retried, and each commit is made once."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([["id", "note"], *([f"k{number:05}", f"n{number}"] for number in range(4000))])
    path = rows_file(out.getvalue())
    runs = [mine.start("data", "import", "things", path, "--batch", "100", "-o", "json") for _ in range(2)]
    told = [run.end(OK).json for run in runs]
    assert [one["rows"] for one in told] == [4000, 4000]
    assert sum(one["replayedRows"] for one in told) == 4000
    assert notes(mine) == {f"k{number:05}": f"n{number}" for number in range(4000)}
    trail = events(mine)
    assert len(trail) == 40 == len({event["requestId"] for event in trail})
