"""The machine's Debian package index as CSV files, one folder per archive section."""
import csv
import email.utils
import pathlib
import subprocess

TABLES = {
    "maintainers": ["email", "name"],
    "packages": ["name", "debian_version", "architecture", "priority", "maintainer", "installed_kib",
                 "size_bytes", "homepage", "summary"],
    "dependencies": ["package", "position", "requirement"],
}


def stanzas():
    """One dict a package; the installed ones if apt has no index here."""
    text = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True,
                          errors="replace", check=False).stdout
    if text.count("\nPackage: ") < 1000:
        text = pathlib.Path("/var/lib/dpkg/status").read_text(errors="replace")
    for block in text.split("\n\n"):
        fields = {}
        for line in block.split("\n"):
            if line and not line[0].isspace() and ":" in line:
                key, value = line.split(":", 1)
                fields[key] = value.strip()
        if "Package" in fields and "Version" in fields:
            yield fields


def integer(text):
    return text if text and text.isdigit() else ""


def split(limit):
    """Sections to tables to rows; the newest version of a name only, at most `limit` packages."""
    sections = {}
    seen = set()
    for fields in stanzas():
        name = fields["Package"]
        if name in seen or (limit and len(seen) >= limit):
            continue
        seen.add(name)
        section = fields.get("Section", "unsorted").split("/")[-1].lower()
        tables = sections.setdefault(section, {"maintainers": {}, "packages": [],
                                               "dependencies": []})
        person, address = email.utils.parseaddr(fields.get("Maintainer", ""))
        address = address or "unknown@invalid"
        tables["maintainers"].setdefault(address, person or address)
        tables["packages"].append([
            name, fields["Version"], fields.get("Architecture", "all"),
            fields.get("Priority", ""), address, integer(fields.get("Installed-Size")),
            integer(fields.get("Size")) or "0", fields.get("Homepage", ""),
            fields.get("Description", fields.get("Description-en", ""))])
        requirements = [part.strip() for part in fields.get("Depends", "").split(",")]
        for position, requirement in enumerate(part for part in requirements if part):
            tables["dependencies"].append([name, str(position), requirement])
    return sections


def write(folder, limit=0):
    """Writes the files; answers (section, {table: rows}) from the largest section down."""
    counts = []
    for section, tables in split(limit).items():
        target = pathlib.Path(folder) / section
        target.mkdir(parents=True)
        rows = {"maintainers": sorted(tables["maintainers"].items()),
                "packages": tables["packages"], "dependencies": tables["dependencies"]}
        for table, header in TABLES.items():
            with open(target / f"{table}.csv", "w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(header)
                writer.writerows(rows[table])
        counts.append((section, {table: len(rows[table]) for table in TABLES}))
    return sorted(counts, key=lambda item: -sum(item[1].values()))
