"""Of which kind a label in words is: what it names are forms of words, or spellings, or else a meaning."""

import re

# Forms count where they are all that the answer says: "are positive adjectives", not "are verbs meaning to notice".
FORM = r"are ((?!or\b|of\b|and\b)\S+ ){0,2}(%s)( (or|and|in|of)\b.*)?"
WORD_CLASSES = (
    "(verb|noun|adjective|adverb|preposition|pronoun|article|conjunction|connective|determiner|superlative"
    "|comparative|possessive|plural|participle|gerund)s?"
)
SPELLINGS = (
    "suffix(es)?|prefix(es)?|-[a-z]+ words|((word |sentence )?fragment|number|numeral|digit|letter|symbol|abbreviation"
    "|acronym|initial|syllable|emoticon)s?|punctuation( marks?)?"
)
KINDS = {
    "grammatical": re.compile(FORM % WORD_CLASSES, re.IGNORECASE),
    "orthographic": re.compile(FORM % SPELLINGS + r"|((all )?(end|start|begin) (in|with) .*)", re.IGNORECASE),
}
PIECES = "(part|piece|fragment|beginning|ending)s?"
SPELLED = re.compile(
    r"((words?|tokens?|names?|texts?|strings?) )?(that |which )?(all )?(end|start|begin)(s|ing)? (in|with) .*"
    rf"|{PIECES} of words|word {PIECES}|(capitali[sz]ed|uppercase|lowercase) (words|letters|tokens)",
    re.IGNORECASE,
)
"""Labels that name a spelling and no class of FORM."""


def kind_of_label(label: str) -> str:
    """The kind of a label such as "verbs" or "words ending in -ing" (kind_of_sentence)."""
    return "orthographic" if SPELLED.fullmatch(label) else kind_of_sentence(f"are {label}")


def kind_of_sentence(sentence: str) -> str:
    """ "grammatical" or "orthographic" if all that a sentence such as "are verbs" names is a form, else "semantic".

    Grammatical are parts of speech and their inflections; orthographic are pieces of words, numbers, letters, symbols,
    punctuation, abbreviations and shared beginnings or endings. A form with something further about it ("verbs meaning
    to notice"), names and slang are semantic.
    """
    return next((name for name, pattern in KINDS.items() if pattern.fullmatch(sentence)), "semantic")
