#!/usr/bin/env python3
"""Builds the faces of Docmill's font set: `build.py SOURCES OUTPUT`.

SOURCES is a directory for the Debian packages of sources.tsv; those that are missing are downloaded with apt-get. OUTPUT gets
faces/ and licenses/. A face is a subset of a free font, with the advance widths, the vertical metrics and the kerning of the
font that it stands in for, as far as they are known; the outlines are scaled horizontally to the widths. The same sources give
the same bytes. It needs Python 3.11 and fontTools 4.38 (Debian: python3-fonttools); other versions of fontTools can
give other bytes.
"""

import hashlib
import io
import json
import logging
import pathlib
import subprocess
import sys
import tarfile
import tomllib
import unicodedata
from collections import defaultdict

from fontTools import subset
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.transformPen import TransformPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTCollection, TTFont

HERE = pathlib.Path(__file__).parent

# Seconds since 1904 of 2026-01-01: the time of creation and modification in all faces.
TIMESTAMP = 3_850_070_400

# The characters to keep, as far as the source has them.
SCRIPTS = {
    "latin": [
        (0x20, 0x24F), (0x2B0, 0x2FF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x45F), (0x490, 0x4FF), (0x1E80, 0x1E85),
        (0x1E9E, 0x1EF9), (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20CF), (0x2100, 0x214F), (0x2150, 0x218F),
        (0x2190, 0x2199), (0x21D0, 0x21D5), (0x2200, 0x22C5), (0x25A0, 0x25CF), (0x2713, 0x2718), (0xFB00, 0xFB04),
        (0xFFFD, 0xFFFD),
    ],
    # Compatibility jamo, symbols of KS X 1001 and all syllables. Hanja come from Noto Sans CJK.
    "korean": [
        (0x2460, 0x24E9), (0x2500, 0x257F), (0x2600, 0x267F), (0x3000, 0x303F), (0x3130, 0x318F), (0x3200, 0x327F),
        (0x3380, 0x33DF), (0xAC00, 0xD7A3), (0xFF01, 0xFFEE),
    ],
}

STYLES = {"Regular": ("Regular", 400), "Bold": ("Bold", 700), "Italic": ("Italic", 400), "BoldItalic": ("Bold Italic", 700)}

# Identifiers of the table "name".
COPYRIGHT, DESCRIPTION, LICENSE, LICENSE_URL = 0, 10, 13, 14

# The features to keep. Office draws text without ligatures and without alternates, if a document does not ask for them.
FEATURES = ["ccmp", "locl", "kern"]

# The key of the model's source among the sources of a family.
MODEL = "model"

# Word gives CJK fonts 1.3 times their ascent and descent: 0.15 times the sum is added above, as much below.
WORD_SPACING = 0.15


def fetch(directory):
    """Returns the packages' files by name and font's file name, and the packages' copyright files."""
    fonts, licenses = {}, {}
    for line in (HERE / "sources.tsv").read_text().splitlines():
        if line.startswith("#"):
            continue
        package, version, release, digest = line.split("\t")
        name = f"{package}_{version.replace(':', '%3a')}_all.deb"
        path = directory / name
        if not path.exists():
            subprocess.run(["apt-get", "download", f"{package}={version}"], cwd=directory, check=False)
        if not path.exists():
            sys.exit(f"{name} is missing: put the package of Debian's release {release} into {directory}")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            sys.exit(f"{path} is not the package that sources.tsv names")
        archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], check=True, stdout=subprocess.PIPE).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            for member in files:
                base = member.name.rsplit("/", 1)[-1]
                if member.isfile() and base.endswith((".ttf", ".otf", ".ttc")):
                    fonts[f"{package}/{base}"] = files.extractfile(member).read()
                if member.isfile() and member.name.endswith(f"/doc/{package}/copyright"):
                    licenses[package] = files.extractfile(member).read()
    return fonts, licenses


def open_font(fonts, source):
    """Opens "package/file" or "package/file#number"."""
    name, _, number = source.partition("#")
    return TTFont(io.BytesIO(fonts[name]), fontNumber=int(number or -1), recalcTimestamp=False)


def cut(font, scripts):
    """Leaves only the characters of the scripts."""
    options = subset.Options(
        layout_features=FEATURES, hinting=False, desubroutinize=True, notdef_outline=True, name_IDs=["*"], name_languages=["*"],
        glyph_names=False, drop_tables=subset.Options().drop_tables + ["meta", "STAT", "VORG", "VDMX", "hdmx", "LTSH", "DSIG", "gasp", "kern", "BASE", "vhea", "vmtx", "GDEF"],
    )
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[c for script in scripts for first, last in SCRIPTS[script] for c in range(first, last + 1)])
    subsetter.subset(font)


def base_of(char):
    """Returns the letter of a letter with diacritics."""
    decomposed = unicodedata.normalize("NFD", char)
    return decomposed[0] if len(decomposed) > 1 and all(unicodedata.combining(c) for c in decomposed[1:]) else None


# All Hangul, syllables and letters, are as wide as this one.
HANGUL = "가"


def is_hangul(char):
    return 0xAC00 <= ord(char) <= 0xD7A3 or 0x3131 <= ord(char) <= 0x318E


def is_text(char):
    return unicodedata.category(char)[0] in "LN" and ord(char) < 0x2000


class Widths:
    """The advance widths of a family, by style: those that are known, and estimates of the rest."""

    def __init__(self, name):
        table = json.loads((HERE / "widths" / f"{name}.json").read_text())
        self.faces = {style: {c: w / 1000 for c, w in widths.items()} for style, widths in table["faces"].items()}
        self.kerning = table.get("kerning", {})

    def of(self, style):
        return self.faces.get(style, {})

    def nearest(self, style):
        """Returns the known widths of the style that resembles this one most."""
        order = {"Bold": ["Bold", "Regular"], "Italic": ["Italic", "Regular"], "BoldItalic": ["BoldItalic", "Bold", "Italic", "Regular"]}
        best = max((len(self.of(s)) for s in order.get(style, ["Regular"])), default=0)
        return next(s for s in order.get(style, ["Regular"]) if len(self.of(s)) >= best * 0.8)


def mean_ratio(pairs):
    pairs = list(pairs)
    return sum(a for a, _ in pairs) / sum(b for _, b in pairs) if pairs else 1.0


def target_widths(family, style, source, siblings):
    """Returns the wanted widths by character, in parts of an em. source has the widths of the face's source, siblings those of the
    sources of all styles."""
    if "condense" in family:
        return {c: w * family["condense"] for c, w in source.items()}
    if "monospace" in family:
        return {c: family["monospace"] for c, w in source.items() if w}
    known, model = {}, {}
    if "like" in family:
        like = Widths(family["like"])
        model = {c: w for c, w in like.of(style).items() if c in source}
    if "widths" in family:
        table = Widths(family["widths"])
        known = {c: w for c, w in table.of(style).items() if c in source}
        if HANGUL in known:
            known |= {c: known[HANGUL] for c in source if is_hangul(c)}
        nearest = table.nearest(style)
        if nearest != style:
            # Each character is as much wider or narrower than the source's as in the style that is known better.
            sibling = siblings[nearest]
            model = {c: source[c] * w / sibling[c] for c, w in table.of(nearest).items() if c in source and sibling.get(c)}
    elif model:
        # Nothing is known of this weight: its characters differ from the model's as the source's do from the model's source.
        known = {c: model[c] * source[c] / siblings[MODEL][c] for c in model if siblings[MODEL].get(c)}
    # Punctuation is too different to tell the ratio of letters.
    ratio = mean_ratio((known[c], model[c]) for c in known if c in model and is_ascii_text(c))
    known = {c: w * ratio for c, w in model.items() if source[c]} | known
    return finish(known, source)


def is_ascii_text(char):
    return char.isascii() and char.isalnum()


def finish(known, source):
    """Adds letters with diacritics, which are as wide as the letter, and the other letters, which get the mean ratio."""
    out, ratio = dict(known), mean_ratio((known[c], source[c]) for c in known if is_ascii_text(c))
    for char, width in source.items():
        base = base_of(char)
        if char in out or not width:
            continue
        if base in known and abs(source.get(base, 0) - width) < 0.002:
            out[char] = known[base]
        elif is_text(char):
            out[char] = width * ratio
    return out


def set_widths(font, wanted):
    """Scales the outlines of characters horizontally to the wanted widths."""
    units, metrics, glyphs = font["head"].unitsPerEm, font["hmtx"].metrics, font.getGlyphSet()
    factors = {}
    for code, glyph in sorted(font.getBestCmap().items()):
        advance = metrics[glyph][0]
        if advance and chr(code) in wanted:
            factors.setdefault(glyph, (round(wanted[chr(code)] * units), wanted[chr(code)] * units / advance))
    outlines = {}
    for glyph in font.getGlyphOrder():
        advance, factor = factors.get(glyph, (metrics[glyph][0], 1.0))
        recording = DecomposingRecordingPen(glyphs)
        glyphs[glyph].draw(recording)
        outlines[glyph] = (recording, advance, factor)
    if "glyf" in font:
        scale_truetype(font["glyf"], metrics, outlines)
        return
    charstrings = font["CFF "].cff.topDictIndex[0].CharStrings
    for glyph, (recording, advance, factor) in outlines.items():
        if factor == 1.0:
            continue
        old = charstrings[glyph]
        # Widths are stored as differences from the private dictionary's nominal width.
        width = advance - old.private.nominalWidthX if advance != old.private.defaultWidthX else None
        pen = T2CharStringPen(width, glyphs)
        recording.replay(TransformPen(pen, (factor, 0, 0, 1, 0, 0)))
        charstrings[glyph] = pen.getCharString(private=old.private, globalSubrs=old.globalSubrs)
        metrics[glyph] = (advance, round(metrics[glyph][1] * factor))


def scale_truetype(table, metrics, outlines):
    """Scales TrueType outlines. A letter with diacritics stays composed of its parts if it is scaled as its letter is."""
    for glyph, (recording, advance, factor) in outlines.items():
        outline = table[glyph]
        if outline.isComposite() and can_stay_composite(outline, factor, outlines):
            for part in outline.components:
                part.x = round(part.x * factor)
            metrics[glyph] = (advance, 0)
            continue
        pen = TTGlyphPen(None)
        recording.replay(TransformPen(pen, (factor, 0, 0, 1, 0, 0)))
        table[glyph] = pen.glyph()
        metrics[glyph] = (advance, 0)
    for glyph in outlines:
        table[glyph].recalcBounds(table)
        metrics[glyph] = (metrics[glyph][0], getattr(table[glyph], "xMin", 0) if table[glyph].numberOfContours else 0)


def can_stay_composite(outline, factor, outlines):
    # A diacritic is hardly seen to be narrower; a letter would be.
    factors = [outlines[part.glyphName][2] for part in outline.components]
    plain = all(hasattr(part, "x") and not hasattr(part, "transform") for part in outline.components)
    return plain and abs(factors[0] - factor) < 0.005 and all(abs(f - factor) < 0.15 for f in factors)


def set_kerning(font, pairs):
    """Replaces the kerning by pairs of characters (thousandths of an em); letters with diacritics are kerned as the letter."""
    if "GPOS" in font:
        del font["GPOS"]
    if not pairs:
        return
    units, cmap = font["head"].unitsPerEm, font.getBestCmap()
    classes = defaultdict(list)
    for code, glyph in sorted(cmap.items()):
        classes[base_of(chr(code)) or chr(code)].append(glyph)
    rules, names = [], {}
    for pair, value in sorted(pairs.items()):
        left, right = pair
        if ord(left) not in cmap or ord(right) not in cmap:
            continue
        for char in pair:
            names.setdefault(char, f"@c{ord(char):04x}")
        rules.append(f"pos {names[left]} {names[right]} {round(value * units / 1000)};")
    definitions = [f"{name} = [{' '.join(dict.fromkeys(classes[char]))}];" for char, name in sorted(names.items())]
    addOpenTypeFeaturesFromString(font, "\n".join(definitions) + "\nfeature kern {\n" + "\n".join(rules) + "\n} kern;\n")


def scale_kerning(font, ratio):
    """Multiplies the source's kerning."""
    if "GPOS" not in font:
        return
    for lookup in font["GPOS"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            table = getattr(table, "ExtSubTable", table)
            records = []
            if table.LookupType == 2 and table.Format == 1:
                records = [r for pair_set in table.PairSet for r in pair_set.PairValueRecord]
            elif table.LookupType == 2:
                records = [r for first in table.Class1Record for r in first.Class2Record]
            for record in records:
                for value in (record.Value1, record.Value2):
                    if value is not None and getattr(value, "XAdvance", 0):
                        value.XAdvance = round(value.XAdvance * ratio)


def set_metrics(font, ascent, descent, gap):
    """Sets all vertical metrics to the same values, so that every program uses the same ones."""
    units, hhea, os2 = font["head"].unitsPerEm, font["hhea"], font["OS/2"]
    hhea.ascent, hhea.descent, hhea.lineGap = round(ascent * units), -round(descent * units), round(gap * units)
    os2.sTypoAscender, os2.sTypoDescender, os2.sTypoLineGap = hhea.ascent, hhea.descent, hhea.lineGap
    os2.usWinAscent, os2.usWinDescent = hhea.ascent, -hhea.descent
    os2.fsSelection &= ~(1 << 7)  # USE_TYPO_METRICS


def set_names(font, family, style, wanted, outlines=True):
    """Names a font. With outlines, it names the table of the outlines, too, which the fonts of a collection share."""
    title, weight = STYLES[style]
    full = family if style == "Regular" else f"{family} {title}"
    postscript = f"{family.replace(' ', '')}-{style}"
    table = font["name"]
    notices = {name.nameID: name.toUnicode() for name in table.names
               if name.platformID == 3 and name.langID == 0x409 and name.nameID in (COPYRIGHT, LICENSE, LICENSE_URL)}
    original = table.getDebugName(4)
    table.names = []
    notices[DESCRIPTION] = f"Derived from {original} for Docmill, as a stand-in for {wanted}."
    for number, text in sorted((notices | {1: family, 2: title, 3: full, 4: full, 5: "Version 1.000", 6: postscript}).items()):
        table.setName(text, number, 3, 1, 0x409)
    head, os2 = font["head"], font["OS/2"]
    head.created = head.modified = TIMESTAMP
    head.fontRevision = 1.0
    os2.usWeightClass = weight
    os2.achVendID = "DCML"
    bold, italic = "Bold" in style, "Italic" in style
    head.macStyle = bold | italic << 1
    os2.fsSelection = italic | bold << 5 | (not bold and not italic) << 6
    if "CFF " in font and outlines:
        cff = font["CFF "].cff
        cff.fontNames[0] = postscript
        top = cff.topDictIndex[0]
        top.FullName, top.FamilyName = full, family
        for part in getattr(top, "FDArray", []):
            part.FontName = postscript  # LibreOffice 7.4 names fonts in PDFs after the first one
        for attribute in ("Notice", "Copyright", "version", "Weight"):
            if hasattr(top, attribute):
                delattr(top, attribute)


def characters(font):
    """Returns the source's widths by character, in parts of an em."""
    units, metrics = font["head"].unitsPerEm, font["hmtx"].metrics
    return {chr(code): metrics[glyph][0] / units for code, glyph in font.getBestCmap().items()}


def build(family, fonts):
    """Yields the style, the font and the wanted widths of each face of a family."""
    sources = {style: open_font(fonts, source) for style, source in family["faces"].items()}
    for font in sources.values():
        cut(font, family.get("scripts", ["latin"]))
    widths = {style: characters(font) for style, font in sources.items()}
    for style, font in sources.items():
        siblings = dict(widths)
        if style in family.get("model", {}):
            siblings[MODEL] = characters(open_font(fonts, family["model"][style]))
        yield style, font, target_widths(family, style, widths[style], siblings)


def finish_face(family, style, font, wanted):
    source = characters(font)
    ratio = mean_ratio((wanted[c], source[c]) for c in wanted if is_ascii_text(c))
    set_widths(font, wanted)
    kerning = family.get("kerning") or family.get("widths")
    if kerning == "source":
        scale_kerning(font, ratio)
    else:
        set_kerning(font, Widths(kerning).kerning if kerning else {})
    set_metrics(font, family["ascent"], family["descent"], family.get("gap", 0))
    set_names(font, family["family"], style, family["wanted"])


def save(family, style, font, output):
    """Writes a face; with a family for Word, a collection of two faces that share the outlines."""
    name = f"{family['family'].replace(' ', '')}-{style}"
    if "word" not in family:
        font.save(output / f"{name}.{'ttf' if 'glyf' in font else 'otf'}")
        return
    content = io.BytesIO()
    font.save(content)
    plain, word = (TTFont(io.BytesIO(content.getvalue()), recalcTimestamp=False) for _ in range(2))
    spacing = WORD_SPACING * (family["ascent"] + family["descent"])
    set_metrics(word, family["ascent"] + spacing, family["descent"] + spacing, family.get("gap", 0))
    set_names(word, family["word"], style, family["wanted"], outlines=False)
    collection = TTCollection()
    collection.fonts = [plain, word]
    with open(output / f"{name}.ttc", "wb") as file:
        collection.save(file, shareTables=True)


def main():
    logging.disable(logging.WARNING)
    sources, output = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    only = sys.argv[3:]
    sources.mkdir(parents=True, exist_ok=True)
    for directory in (output / "faces", output / "licenses"):
        directory.mkdir(parents=True, exist_ok=True)
    fonts, licenses = fetch(sources)
    for package, text in licenses.items():
        (output / "licenses" / f"{package}.txt").write_bytes(text)
    for family in tomllib.loads((HERE / "faces.toml").read_text())["family"]:
        if only and family["family"] not in only:
            continue
        # The widths of all styles must be computed before the first font is changed.
        faces = list(build(family, fonts))
        for style, font, wanted in faces:
            finish_face(family, style, font, wanted)
            save(family, style, font, output / "faces")
            print(family["family"], style, flush=True)


if __name__ == "__main__":
    main()
