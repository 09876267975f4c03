"""Whether a word that is a name and something else too is meant as the name: *Paris smiles*, *Paris in spring*.

A work is meant where words speak of one: *Olaf from Frozen*, *the film Up*, but not *frozen lake*, *Anna from Berlin*.
"""

from __future__ import annotations

import re

from safety.prompt.packs import NOTHING, POLITICS, TITLE, WORK

_REACH = 48
_VERBS = (
    r"(?:sing|say|speak|smil|danc|walk|wav|eat|laugh|cr(?:y|i)|talk|perform|rapp|rap|wear|kiss|giv|tak|hold|sit|run|"
    r"play|fight|danc|confess|admit|announc|declar|promis|endors|shout|tell|look|ride|driv|drink|sleep|jump|hug|"
    r"cook|paint|read|rob|steal|shoot|punch|undress|strip|pos|appear|meet|argu|accept|resign|withdraw|fly|flies|"
    r"attack|kneel|scream|stand|lie|swim|answer|ask|want|goes|is|was|does|did|has|had)(?:s|es|ed|ing|ning|ping|"
    r"ting)?"
)
_AFTER = re.compile(
    rf"(?:['’]s?\s+(?:\w+\s+)?(?:voice|face|body|song|songs|speech|concert|hair|smile|eyes|hands|wife|husband|campaign|"
    rf"house|car|style|vocals|album|supporters|rally|costume|hammer|castle)|\s+(?:(?:and|with)\s+\w+\s+)?{_VERBS})\b",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"(?:\b(?:president|senator|governor|mayor|king|queen|prince|princess|singer|rapper|actor|actress|star|artist|mr|mrs|"
    r"ms|miss|dr|sir|lady|named|called|starring|featuring|deepfake of|voice of|face of|undress|clone of|impersonat\w+|"
    r"imitat\w+|mimic\w*|sounds? like|looks? like|dressed as|dressed up as|costume of|cosplay of|cosplaying|character|"
    r"hero|heroine|villain|superhero|movie|film|cartoon|disney|marvel|pixar|sung by|narrated by|voiced by|by|with|meets|"
    r"and her name is|portrait of|selfie with|interview with|speech by|statue of|photo of|likeness of)\.?[\s,:]+)$",
    re.IGNORECASE,
)
_AS_A_WORD = re.compile(
    r"(?:\b(?:a|an|the|this|that|some|my|his|her|their|in|at|from|to|near|into|through|over|around|visit\w*|outside|"
    r"leave\w*|leaving|towards?|across|downtown|of the|city of|streets of|map of|skyline of)\s+)$",
    re.IGNORECASE,
)
_OF_WORK = re.compile(
    r"\s+(?:movie|film|character|costume|cosplay|franchise|cartoon|comic|theme|poster|logo|from\s+(?:the\s+)?[A-Z])",
)
_KINDS = (
    r"(?:movies?|films?|series|tv shows?|shows?|animes?|mangas?|(?:video ?)?games?|cartoons?|musicals?|comics?|sitcoms?|novels?|"
    r"franchise|universe|trilogy|saga|sequel|episodes?|trailers?|posters?|soundtrack|fan ?art|cosplay(?:ers?)?|characters?)"
)
_MAKERS = (
    r"(?:disney|pixar|dreamworks|illumination|netflix|marvel|dc|nintendo|hbo|nickelodeon|cartoon network|(?:studio )?ghibli)"
    r"(?:['’]s)?"
)
_TITLE_BEFORE = re.compile(
    rf"\b(?:{_MAKERS}|{_KINDS}(?:\s+(?:called|titled|named|of|from|in))?|scenes?\s+(?:from|out of)|"
    rf"(?-i:[A-Z])[\w'’-]+(?:\s+the\s+[\w-]+)?,?\s+from)\s+(?:the\s+(?:{_KINDS}\s+)?)?[\"“'‘]?$",
    re.IGNORECASE,
)
"""What stands before a title: a maker, a kind of work, or a name with *from*."""
_TITLE_AFTER = re.compile(rf"[\"”'’]?\s+(?:\((?:19|20)\d\d\)|\(?(?:the\s+)?{_KINDS}\b)", re.IGNORECASE)
_GOES_ON = re.compile(r"\s+[A-Z]")
_DETERMINED = re.compile(
    r"\b(?:an?|this|that|some|my|his|her|their|our|your|every|each|no)\s+$", re.IGNORECASE
)
_PLAYED = re.compile(
    r"\b(?:dressed(?: up)? as|costume of|cosplay(?:ing)?(?: of| as)?|character|superhero|villain|cartoon|movie)\s+(?:the\s+|an?\s+)?$",
    re.IGNORECASE,
)
_SMALL = frozenset(
    [
        "a",
        "an",
        "and",
        "at",
        "by",
        "for",
        "from",
        "in",
        "into",
        "of",
        "on",
        "or",
        "out",
        "over",
        "the",
        "to",
        "vs",
        "with",
        "de",
        "la",
        "le",
        "les",
        "el",
        "los",
        "und",
    ]
)
"""Words that titles do not begin with a capital."""
_POLITICS = (
    "assembly",
    "ballot",
    "brib",
    "campaign",
    "candidate",
    "capitol",
    "commissioner",
    "congress",
    "council",
    "deepfake",
    "democrat",
    "elect",
    "governor",
    "impeach",
    "lawmaker",
    "legislat",
    "mayor",
    "parliament",
    "politic",
    "representative",
    "republican",
    "senat",
    "speech",
    "supervisor",
    "vot",
)
"""What words of politics begin with."""
_POLITICAL_PAIRS = ("state house", "press conference")
_WORDS = re.compile(r"[^\W\d_]+")
_PLACES = frozenset(
    [
        "paris",
        "london",
        "jordan",
        "chelsea",
        "brooklyn",
        "austin",
        "dallas",
        "houston",
        "madison",
        "jackson",
        "lincoln",
        "washington",
        "georgia",
        "florence",
        "vienna",
        "sydney",
        "geneva",
        "milan",
        "rome",
        "venice",
        "verona",
        "siena",
        "cairo",
        "china",
        "india",
        "israel",
        "chad",
        "cuba",
        "kenya",
        "america",
        "asia",
        "africa",
        "dakota",
        "montana",
        "virginia",
        "carolina",
        "alexandria",
        "victoria",
        "regina",
        "adelaide",
        "charlotte",
        "savannah",
        "orlando",
        "phoenix",
        "denver",
        "boston",
        "memphis",
        "cleveland",
        "hamilton",
        "lancaster",
        "york",
        "kent",
        "devon",
        "essex",
        "lourdes",
        "lima",
        "malta",
        "troy",
        "sofia",
        "petra",
        "nice",
        "reading",
        "bath",
        "ireland",
        "holland",
        "france",
        "germany",
        "spain",
        "italy",
        "poland",
        "brazil",
        "mexico",
        "texas",
        "nevada",
        "arizona",
        "utah",
        "oregon",
        "maine",
        "bristol",
        "oxford",
        "cambridge",
        "preston",
        "lincolnshire",
        "berlin",
        "rose",
        "lily",
        "daisy",
        "violet",
        "iris",
        "ivy",
        "hazel",
        "olive",
        "heather",
        "poppy",
        "summer",
        "autumn",
        "winter",
        "april",
        "may",
        "june",
        "august",
        "dawn",
        "hope",
        "faith",
        "grace",
        "joy",
        "harmony",
        "melody",
        "sky",
        "star",
        "river",
        "rain",
        "stormy",
        "angel",
        "king",
        "queen",
        "hunter",
        "mason",
        "baker",
        "cook",
        "carter",
        "parker",
        "taylor",
        "fisher",
        "gardener",
        "smith",
        "bishop",
        "knight",
        "page",
        "ray",
        "rich",
        "art",
        "will",
        "mark",
        "bill",
        "bob",
        "frank",
        "grant",
        "jack",
        "pat",
        "rob",
        "sue",
        "dean",
        "earl",
        "duke",
        "prince",
        "cherry",
        "ginger",
        "amber",
        "ruby",
        "pearl",
        "jade",
        "opal",
        "crystal",
        "coral",
        "robin",
        "jay",
        "drake",
        "wren",
        "dove",
        "eagle",
        "wolf",
        "fox",
        "stone",
        "rock",
        "cliff",
        "glen",
        "dale",
        "heath",
        "forest",
        "wood",
        "field",
        "brook",
        "lake",
        "marsh",
    ]
)


def meant(needs: int, text: str, start: int, end: int) -> bool:
    """Tell if the words from `start` to `end` are used as a name, as far as their spelling asks for a sign of it."""
    if needs == NOTHING:
        return True
    if needs == POLITICS:
        return _political(text)
    if needs == TITLE:
        return _titled(text, start, end)
    if needs == WORK:
        return _titled(text, start, end) or _work(text, start, end)
    return _person(text, start, end)


def _titled(text: str, start: int, end: int) -> bool:
    """Tell if these words, begun with a capital, stand where the title of a work stands."""
    before, after = text[max(0, start - _REACH) : start], text[end : end + _REACH]
    if not text[start].isupper() or _GOES_ON.match(after):
        return False
    return bool(_TITLE_BEFORE.search(before) or _TITLE_AFTER.match(after))


def _work(text: str, start: int, end: int) -> bool:
    """Tell if these words are written as a title of several words, or else as a name."""
    words = text[start:end].split()
    if len(words) < 2:
        return _person(text, start, end)
    before = text[max(0, start - _REACH) : start]
    if _DETERMINED.search(before) and not _PLAYED.search(before):
        return False
    capital = words[0][:1].isupper() and all(word[:1].isupper() or word in _SMALL for word in words)
    return (capital and not text.isupper()) or bool(_PLAYED.search(before))


def _political(text: str) -> bool:
    lower = text.lower()
    if any(pair in lower for pair in _POLITICAL_PAIRS):
        return True
    return any(word.startswith(_POLITICS) for word in _WORDS.findall(lower))


def _person(text: str, start: int, end: int) -> bool:
    before, after, words = (
        text[max(0, start - _REACH) : start],
        text[end : end + _REACH],
        text[start:end].split(),
    )
    if _BEFORE.search(before) or _OF_WORK.match(after):
        return True
    if _AS_A_WORD.search(before):
        return False
    if _AFTER.match(after):
        return True
    capital = all(word[:1].isupper() for word in words) and not text.isupper()
    opening = not before.strip() or before.rstrip()[-1:] in ".!?:;\n"
    if len(words) > 1:
        return capital
    return capital and not opening and words[0].lower() not in _PLACES
