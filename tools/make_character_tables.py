"""Writes src/jinja/character_tables.inc: what Python's str methods know of characters, asked of Python itself.

    python3 tools/make_character_tables.py > src/jinja/character_tables.inc
"""
import sys
import unicodedata

CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
FINAL_SIGMA = "ς"


def shift(c, mapped):
    return ord(mapped) - c


def ranges(holds):
    found = []
    for c in CHARACTERS:
        if not holds(c):
            continue
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def is_final_behind(before):
    return (before + "Σ").lower()[-1] == FINAL_SIGMA


def is_cased(c):
    return (chr(c) + "a").title()[-1] == "a"


def is_ignored(c):
    """Whether a sigma is final or not whatever stands here between it and a letter (Case_Ignorable)."""
    return is_final_behind("A" + chr(c)) and not is_final_behind(chr(c))


def write(kind, name, rows):
    print(f"constexpr {kind} {name}[] = {{")
    line = " "
    for row in rows:
        text = " {" + ", ".join(row) + "},"
        if len(line) + len(text) > 118:
            print(line)
            line = " "
        line += text
    print(line)
    print("};")


def points(text):
    return "{" + ", ".join(f"{ord(c):#x}" for c in text) + "}"


print(f"// Made by tools/make_character_tables.py from Unicode {unicodedata.unidata_version}; do not edit.")

# Letters whose other cases are one character each, in runs of every or every second code point.
special = {
    c for c in CHARACTERS if any(len(text) > 1 for text in (chr(c).upper(), chr(c).lower(), chr(c).title()))
}
runs = []
for c in CHARACTERS:
    t = chr(c)
    if c in special or (t.upper() == t and t.lower() == t and t.title() == t):
        continue
    shifts = (shift(c, t.upper()), shift(c, t.lower()), shift(c, t.title()))
    last = next((run for run in reversed(runs[-2:]) if run[3] == shifts and (
        c - run[1] == run[2] if run[0] != run[1] else c - run[1] <= 2)), None)
    if last is None:
        runs.append([c, c, 1, shifts])
    else:
        if last[0] == last[1]:
            last[2] = c - last[1]
        last[1] = c
print("// {first, last, distance of one to the next, distance to the upper, lower and title case}; may overlap.")
write("CaseRun", "case_runs", [[f"{r[0]:#x}", f"{r[1]:#x}", str(r[2]), *map(str, r[3])] for r in runs])
print("// {character, upper case, lower case, title case} of those of which one is several characters.")
write("SpecialCase", "special_cases",
      [[f"{c:#x}", points(chr(c).upper()), points(chr(c).lower()), points(chr(c).title())] for c in sorted(special)])
print("// {character, str.casefold of it} where that is not the lower case.")
write("FoldedCase", "folded_cases",
      [[f"{c:#x}", points(chr(c).casefold())] for c in CHARACTERS if chr(c).casefold() != chr(c).lower()])
print("// {first, last} of the characters with a property, sorted.")
for name, holds in {
    "cased": is_cased,
    "case_ignored": is_ignored,
    "upper_letters": lambda c: chr(c).isupper(),
    "lower_letters": lambda c: chr(c).islower(),
    "alphabetic": lambda c: chr(c).isalpha(),
    "unprintable": lambda c: not chr(c).isprintable(),
    "digits": lambda c: chr(c).isdigit(),
    "numeric": lambda c: chr(c).isnumeric(),
}.items():
    write("CharacterRange", name, [[f"{a:#x}", f"{b:#x}"] for a, b in ranges(holds)])
print("// The zeros of the decimal digits: nine more follow each.")
zeros = [c for c in CHARACTERS if unicodedata.decimal(chr(c), None) == 0]
for c in CHARACTERS:
    value = unicodedata.decimal(chr(c), None)
    if value is not None and c - value not in zeros:
        sys.exit(f"{c:#x} is a digit without its zero")
print("constexpr uint32_t decimal_zeros[] = {")
for i in range(0, len(zeros), 12):
    print("    " + ", ".join(f"{c:#x}" for c in zeros[i:i + 12]) + ",")
print("};")
