"""Grammatical and orthographic classes of single tokens, under the names that a label gives them."""

import re
import unicodedata

from svdlens.vocabulary.wordnet import Base

FUNCTION_WORDS = {
    "pronouns": """i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its
        itself we us our ours ourselves they them their theirs themselves one oneself who whom whose someone anyone
        everyone somebody anybody everybody nobody something anything everything nothing none another this that these
        those whoever whomever whatever whichever""",
    "prepositions": """of in to for with on at from by about as into like through after over between out against during
        without before under around among within along across behind beyond except up down off above near below beneath
        beside besides toward towards upon until till since despite per via amid amidst onto inside outside throughout
        underneath versus concerning regarding alongside""",
    "conjunctions": """and or but nor so yet for because although though while whilst whereas if unless until since when
        where whether than that as once whenever wherever lest provided""",
    "determiners and articles": """a an the this that these those my your his her its our their some any each every no
        another all both either neither much many few several most more less what which whose such enough""",
    "auxiliary verbs": """be am is are was were been being have has had having do does did done doing can could may
        might shall should will would must ought cannot""",
    "modal verbs": "can could may might shall should will would must ought cannot dare need",
    "question words": "who what when where why how which whom whose whether whence whither whatever whoever",
    "negations": "not no never none nothing nobody neither nor nowhere cannot without hardly n't",
}
FUNCTION_WORDS_OF = {name: frozenset(words.split()) for name, words in FUNCTION_WORDS.items()}
ALL_FUNCTION_WORDS = frozenset().union(*FUNCTION_WORDS_OF.values())
FIRST_NAMES_TEXT = """
    aaron adam adrian alan albert alex alexander alice alison amanda amy andrea andrew andy angela ann anna anne
    anthony antonio arthur ashley barbara ben benjamin bernard beth betty bill bob bobby brandon brenda brian bruce
    bryan carl carlos carol caroline catherine charles charlie charlotte chris christian christina christine
    christopher claire craig cynthia daniel danny david deborah dennis derek diana diane donald donna dorothy doug
    douglas dylan eddie edward elena elizabeth ellen emily emma eric erik eugene evan evelyn frances francis frank
    fred gabriel gary george gerald gordon greg gregory hannah harold harry heather heidi helen henry howard hugh
    ian irene isaac jack jackie jacob jake james jamie jan jane janet jason jay jean jeff jeffrey jennifer jeremy
    jerry jesse jessica jim jimmy joan joe joel john johnny jon jonathan jordan jose joseph josh joshua juan judith
    judy julia julian julie justin karen karl kate katherine kathleen kathy katie keith kelly ken kenneth kevin kim
    kyle larry laura lauren laurie lawrence leah lee leonard leslie linda lisa liz louis louise lucas lucy luis
    luke lynn marc marcus margaret maria marie marilyn mario mark martha martin mary matt matthew megan melissa
    michael michelle miguel mike mohammed nancy natalie nathan neil nicholas nick nicole nina noah norman oliver
    olivia oscar pamela patricia patrick paul paula pedro peter phil philip phillip rachel ralph randy raymond
    rebecca ricardo richard rick robert roberto robin roger ron ronald rosa rose ross roy russell ruth ryan sally
    sam samantha samuel sandra sara sarah scott sean seth shane shannon sharon simon sophie stacey stanley
    stephanie stephen steve steven stuart susan suzanne tara taylor ted teresa terry theresa thomas tim timothy
    tina todd tom tommy tony tracy travis tyler vanessa veronica victor victoria vincent virginia walter warren
    wayne wendy will william zach zachary
"""
FIRST_NAMES = frozenset(FIRST_NAMES_TEXT.split())
PARTS_OF_SPEECH = {"n": "nouns", "v": "verbs", "a": "adjectives", "r": "adverbs"}
BRACKETS = frozenset("()[]{}<>")
QUOTES = frozenset("\"'`“”‘’«»")
APOSTROPHE = re.compile(r"[a-zA-Z]['’]|['’](s|d|m|t|ll|re|ve)$", re.IGNORECASE)
# What tokenizers leave of them before the apostrophe, and how they are spelled in haste.
CONTRACTIONS_TEXT = """
    ain aren couldn didn doesn don hadn hasn haven isn mustn needn shouldn wasn weren wouldn cant couldnt didnt doesnt
    dont hadnt hasnt havent isnt shouldnt wasnt werent wont wouldnt dunno gimme gonna gotta kinda lemme wanna im ive
    youre theyre ll ve
"""
CONTRACTIONS = frozenset(CONTRACTIONS_TEXT.split())
ROMAN = re.compile(r"(?=[IVXLCDM]{2,}$)M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
YEAR = re.compile(r"1[5-9]\d\d|20\d\d")
ORDINAL = re.compile(r"\d+(st|nd|rd|th)")
MIXED_CAPITALS = re.compile(r"[a-z][A-Z]")
ADDRESS = re.compile(r"https?|www|\.(com|org|net|edu|gov|html?|php)$", re.IGNORECASE)
AFFIXES = (2, 3, 4, 5)  # letters
CONTINUATION = re.compile(r"\A##(?=\w)")  # what WordPiece writes before pieces inside a word

# Tokens that GPT-2 hardly ever saw in training (Rumbelow & Watkins 2023, "SolidGoldMagikarp"), without spaces.
GLITCH_TOKENS_TEXT = """
    SolidGoldMagikarp GoldMagikarp PsyNetMessage externalTo ForgeModLoader guiActive guiActiveUn guiActiveUnfocused
    guiIcon guiName unfocusedRange BuyableInstoreAndOnline InstoreAndOnline DeliveryDate externalActionCode
    externalToEVA externalToEVAOnly StreamerBot TheNitrome TheNitromeFan RandomRedditor RandomRedditorWithNo
    rawdownload rawdownloadcloneembedreportprint cloneembedreportprint reportprint embedreportprint wcsstore
    quickShip quickShipAvailable channelAvailability soType soDeliveryDate isSpecialOrderable inventoryQuantity
    largeDownload ItemThumbnailImage ItemTracker EStream EStreamFrame TPPStreamerBot DragonMagazine SpaceEngineers
    EngineDebug MpServer attRot davidjl sqor Leilan petertodd Skydragon Mechdragon Dragonbound Smartstocks
    oreAndOnline PDATED catentry catalogName actionDate natureconservancy assetsadobe Nitrome Adinida gmaxwell 裏覚醒
    サーティワン
"""
GLITCH_TOKENS = frozenset(GLITCH_TOKENS_TEXT.split())


def text_key(text: str) -> str:
    """Texts with the same key are one token as far as meaning goes: case and surrounding spaces do not count."""
    return text.strip().lower()


def form_classes(token: str, bases: list[Base]) -> list[tuple[str, str]]:
    """(kind, name) of each class that a token is in; `bases` are the dictionary forms of its lower-case text."""
    text = CONTINUATION.sub("", token.strip())
    lower = text.lower()
    return [
        *[("glitch", name) for name in glitch_classes(token, text)],
        *[("grammatical", name) for name in grammatical_classes(text, lower, bases)],
        *[("orthographic", name) for name in orthographic_classes(text, lower, bases)],
    ]


def glitch_classes(token: str, text: str) -> list[str]:
    """Of a token and its text without spaces: broken bytes, control characters, and tokens known as glitches."""
    classes = []
    if re.search(r"\\x[0-9a-f]{2}", token) or "\ufffd" in token:
        classes.append("bytes that are no characters")
    if any(unicodedata.category(character) == "Cc" for character in text):
        classes.append("control characters")
    if text in GLITCH_TOKENS:
        classes.append("glitch tokens")
    return classes


def grammatical_classes(text: str, lower: str, bases: list[Base]) -> list[str]:
    """Of a text, also in lower case: function words, else names and what its dictionary forms can be."""
    classes = [name for name, words in FUNCTION_WORDS_OF.items() if lower in words]
    if classes:
        return [*classes, "function words"]
    if APOSTROPHE.search(text) or lower in CONTRACTIONS:
        classes.append("contractions")
    if text.istitle() and lower in FIRST_NAMES:
        classes.append("first names")
    if text.istitle() and text.isalpha() and len(text) > 2 and not bases:
        classes.append("names")
    letters = sorted({base.part_of_speech for base in bases})
    classes += [f"words that can be {PARTS_OF_SPEECH[letter]}" for letter in letters]
    if len(letters) == 1:
        classes.append(PARTS_OF_SPEECH[letters.pop()])
    classes += [inflection(lower, base) for base in bases if base.ending]
    return list(dict.fromkeys(classes))


def inflection(word: str, base: Base) -> str:
    """What form of its base a word is."""
    if base.part_of_speech == "n":
        return "plural nouns"
    if base.part_of_speech == "v":
        if word.endswith("ing"):
            return "verbs in the -ing form"
        return "verbs in the third person" if base.ending.endswith("s") else "past tense verbs"
    return "superlatives" if word.endswith("st") else "comparatives"


def orthographic_classes(text: str, lower: str, bases: list[Base]) -> list[str]:
    """Of a text, also in lower case: how it is spelled (script, symbols, digits, capitals, first and last letters)."""
    if not text:
        return []
    classes = []
    if not text.isascii():
        letters = [character for character in text if character.isalpha()]
        script = unicodedata.name(letters[0], "unknown").split()[0] if letters else "unknown"
        if letters and script != "LATIN":
            classes.append(f"{script.title()} script")
        classes.append("accented or other characters outside ASCII")
    if not any(character.isalnum() for character in text):
        classes.append("punctuation and symbols")
        if set(text) & BRACKETS:
            classes.append("brackets")
        if set(text) & QUOTES:
            classes.append("quotation marks")
        if len(set(text)) == 1 and len(text) > 1:
            classes.append("repeated punctuation")
        return classes
    if any(character.isdigit() for character in text):
        classes.append("tokens with digits")
        if text.isdigit():
            classes += ["numbers", f"numbers of {len(text)} digit{'s' * (len(text) > 1)}"]
        if YEAR.fullmatch(text):
            classes.append("years (numbers of 4 digits)")
        if ORDINAL.fullmatch(lower):
            classes.append("ordinal numbers")
    if ADDRESS.search(text):
        classes.append("web addresses")
    if ROMAN.fullmatch(text):
        classes.append("Roman numerals")
    if MIXED_CAPITALS.search(text):
        classes.append("identifiers in mixed capitals (camel case)")
    if not text.isalpha():
        return classes
    if len(text) == 1:
        return [*classes, "single letters"]
    if text.isupper():
        classes.append("words in capitals (abbreviations)")
    elif text.istitle():
        classes.append("capitalised words")
    if len(text) == 2:
        classes.append("tokens of two letters")
    if text.islower() and text.isascii() and not bases and lower not in ALL_FUNCTION_WORDS:
        classes.append("word fragments")
    for length in AFFIXES:
        if len(lower) > length + 1:
            classes += [f"words ending in -{lower[-length:]}", f"words beginning with {lower[:length]}-"]
    return classes
