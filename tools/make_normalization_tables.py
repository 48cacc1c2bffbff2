#!/usr/bin/env python3
"""Writes src/text/normalization_tables.inc: canonical decompositions and combining classes of Unicode, for NFC.

Normalisation is stable over Unicode versions for every character once assigned, so the file needs making anew only to
cover new scripts. Usage: tools/make_normalization_tables.py > src/text/normalization_tables.inc
"""
import sys
import unicodedata

HANGUL = range(0xAC00, 0xD7A4)  # composed by arithmetic, not by table


def wrapped(items, width=118):
    line = " "
    for item in items:
        if len(line) + len(item) + 2 > width:
            print(line)
            line = " "
        line += f" {item},"
    print(line)


def main():
    decompositions, classes = [], []
    for code in range(sys.maxunicode + 1):
        if 0xD800 <= code < 0xE000:
            continue
        character = chr(code)
        combining = unicodedata.combining(character)
        if combining:
            if classes and classes[-1][1] == code - 1 and classes[-1][2] == combining:
                classes[-1][1] = code
            else:
                classes.append([code, code, combining])
        mapping = unicodedata.decomposition(character)
        if code in HANGUL or not mapping or mapping.startswith("<"):
            continue
        parts = [int(part, 16) for part in mapping.split()]
        first, second = parts[0], parts[1] if len(parts) == 2 else 0
        composes = second and unicodedata.normalize("NFC", chr(first) + chr(second)) == character
        decompositions.append((code, first, second, int(bool(composes))))
    print(f"// Made by tools/make_normalization_tables.py from Unicode {unicodedata.unidata_version}; do not edit.")
    print("// {code point, first part, second part (0: none), whether the pair composes back}, sorted by code point.")
    print("constexpr Decomposition decompositions[] = {")
    wrapped(f"{{{code:#x}, {first:#x}, {second:#x}, {composes}}}" for code, first, second, composes in decompositions)
    print("};")
    print("// {first, last, canonical combining class}, sorted; class 0 is not listed.")
    print("constexpr CombiningRange combining_ranges[] = {")
    wrapped(f"{{{first:#x}, {last:#x}, {combining}}}" for first, last, combining in classes)
    print("};")


main()
