"""The model and the engine have the same phases, in the same order, and the same transitions.

usage: transitions.py MODEL HEADER       (move.pml, router/moves.h)

Both hold FH_MOVE_FOLLOWS, a list of FOLLOW(FROM, TO); the model's phases are its first mtype, the
engine's are FH_MOVE_PHASES. Prints every difference; the status is zero when there is none.
"""

import re
import sys


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


def macro(text, name):
    """The body of a macro, its lines joined."""
    found = re.search(rf"^#define {name}\(\w+\)((?:.*\\\n)*.*)", text, re.MULTILINE)
    if not found:
        sys.exit(f"no macro {name}")
    return found.group(1)


def transitions(text, where):
    body = macro(text, "FH_MOVE_FOLLOWS")
    pairs = re.findall(r"FOLLOW\(\s*(\w+)\s*,\s*(\w+)\s*\)", body)
    left = re.sub(r"FOLLOW\(\s*\w+\s*,\s*\w+\s*\)|\\|\s", "", body)
    if not pairs or left:
        sys.exit(f"{where}: FH_MOVE_FOLLOWS is not a list of FOLLOW(FROM, TO): {left}")
    for pair in set(pairs):
        if pairs.count(pair) > 1:
            sys.exit(f"{where}: {pair[0]} to {pair[1]} stands twice")
    return pairs


def model_phases(text):
    found = re.search(r"mtype = \{([^}]*)\}", text)
    return re.findall(r"\w+", found.group(1)) if found else []


def engine_phases(text):
    return re.findall(r"PHASE\(\s*(\w+)\s*,", macro(text, "FH_MOVE_PHASES"))


def differences(model, engine):
    if model_phases(model) != engine_phases(engine):
        yield f"phases: the model has {model_phases(model)}, the engine {engine_phases(engine)}"
    of_model = transitions(model, "model")
    of_engine = transitions(engine, "engine")
    for start, end in of_model:
        if (start, end) not in of_engine:
            yield f"{start} to {end}: in the model only"
    for start, end in of_engine:
        if (start, end) not in of_model:
            yield f"{start} to {end}: in the engine only"


def read(path):
    with open(path, encoding="utf-8") as file:
        # A comment inside a macro ends before the backslash that carries the macro on.
        return without_comments(file.read())


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    found = list(differences(read(sys.argv[1]), read(sys.argv[2])))
    for difference in found:
        print(difference)
    if not found:
        print("model and engine agree")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
