"""Token lists with a known answer: words of one group among others of the same frequency.

The groups were written by hand, with the names a reader would accept for each of them, before any automatic labeller
was run on them and without knowledge of how one works. They are what token lists of language models show: half and more
are of grammar or spelling, and those of meaning mix parts of speech, so that no taxonomy holds one as a branch.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Num

N_NEAREST = 200
"""How many tokens, the nearest in frequency rank to a word, one is drawn from in its place."""

SPECIAL = re.compile(r"<\|.*\|>|</?s>|<(pad|unk|mask|bos|eos)>|\[(PAD|UNK|CLS|SEP|MASK|unused\d+)\]|")


class Group(NamedTuple):
    name: str
    family: str  # semantic, grammatical or orthographic
    words: tuple[str, ...]  # tokens as GPT-2 writes them; no two differ by case or a regular ending alone
    accepted: tuple[str, ...]  # lower case; a right name has one of them, see `accepts`
    form: str = ""  # regular expression of tokens that belong, listed or not, by their spelling


FORMS = {
    "verbs ending in -ed": r"(?i) ?[a-z]+ed",
    "irregular past tense verbs": r"(?i) ?[a-z]+ed",
    "comparatives": r"(?i) ?[a-z]+er",
    "superlatives": r"(?i) ?[a-z]+est",
    "plural nouns": r"(?i) ?[a-z]+[^\Ws]s",
    "contracted and slurred verbs": r".*'[a-z]*",
    "ordinal words": r" ?\d*(st|nd|rd|th)",
    "the calendar": r"(?i) ?(jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu|thurs?|fri|sat|sun)",
    "words ending in -ing": r"(?i) ?[a-z]*ing",
    "words ending in -ness": r"(?i) ?[a-z]*ness",
    "words ending in -ly": r"(?i) ?[a-z]*ly",
    "words ending in -tion": r"(?i) ?[a-z]*ions?",
    "words ending in -able or -ible": r"(?i) ?[a-z]*[ai]bl[ey]",
    "words ending in -ism": r"(?i) ?[a-z]*isms?",
    "words ending in -less or -ful": r"(?i) ?[a-z]*(less|full?)(ly)?",
    "words beginning with un-": r"(?i) ?un[a-z]*",
    "words beginning with re-": r"(?i) ?re[a-z]*",
    "words beginning with inter-": r"(?i) ?inter[a-z]*",
    "numbers written in digits": r"\W*\d[\d\W]*",
    "years": r" ?(1\d|20)\d\ds?",
    "abbreviations in capital letters": r" ?[A-Z]{2,}s?",
    "shouted words in capital letters": r" ?[A-Z]{2,}s?",
    "punctuation marks": r"(?![\s]*\Z)[\W_]+",
    "brackets and quotation marks": r"(?![\s]*\Z)[\W_]+",
    "single letters": r"\W*[^\W\d_]\W*",
    "word fragments without a leading space": r"[^\W\d_]+",
    "identifiers in camel case": r".*([a-z][A-Z]|_[A-Za-z]).*",
}
"""For groups that spelling makes: what none of the other tokens of a list may look like."""


def parse(family: str, text: str, space: str = " ") -> Iterator[Group]:
    """A line `name: accepted, accepted` for each group, then its words, indented; `space` is put before each word."""
    for entry in re.split(r"(?<!,)\n(?=\S)", text.strip()):
        head, _, body = entry.partition("\n    ")
        name, _, accepted = head.partition(": ")
        words = tuple(space + word for word in body.split())
        yield Group(name, family, words, tuple(re.split(r",\s+", accepted)), FORMS.get(name, ""))


SEMANTIC = """
fire: fire, fiery, flame, burn, burning, combust, blaze, heat, ignit, arson
    fire flames burn ash smoke arson firefighters blaze ignite heat torch incendiary combustion matches fuel furnace
    spark lit wildfire oven charcoal
weather: weather, meteorolog, climate, climatic, storm, rain, atmospher, precipitation
    weather rain storm sunny cloud snow forecast humid thunder hurricane wind freezing meteor climate lightning breeze
    fog temperatures tornado icy
crime and law: crime, crimin, law, lawful, lawyer, legal, justice, judicia, court, police, offence, offense, prosecut
    police arrested guilty court prison lawyer murder criminal theft charged judge jury convicted robbery suspect
    illegal detective sentenced evidence felony prosecutors bail
war: war, warfare, wartime, military, battle, army, armies, armed, combat, soldier, conflict, fighting
    war soldiers troops battle army attack bombing military fought invasion enemy weapons combat casualties tanks siege
    artillery surrender missiles commander bullets Iraq
religion: religio, faith, god, sacred, holy, church, theolog, worship, christian, spiritual, divine, clergy, prayer
    God church prayer holy priest worship faith Bible heaven sacred mosque Christian divine sin pilgrimage saints Islam
    monk baptism preached theology Buddhist rabbi
medicine: medic, health, disease, illness, doctor, hospital, clinic, patient, therap, treatment, surgery, surgical
    doctor hospital patient disease surgery nurse treat drug diagnosis symptoms clinic prescribed cancer vaccine
    injected healing chronic therapy infection physicians pharmacy
food and cooking: food, cook, cooking, cookery, cuisine, culinary, eat, eating, meal, kitchen, recipe, dish, dishes,
dining
    cook bread delicious eat kitchen soup recipe butter meal baked chef spicy restaurant cheese dinner fried flavor
    salad boil sauce tasty hungry
sport: sport, athlet, football, basketball, game, team, league, player, soccer, tournament, competition
    team scored coach match football goal player championship league stadium athletic win tournament defender
    basketball kick referee tennis Olympic trophy touchdown fans rugby
family: family, families, familial, kin, kinship, relatives, parent, mother, sibling, marriage, marital, married
    mother son married father children parents sister family wife raised brother grandmother cousin wedding uncle
    daughter adopted husband nephew siblings divorced engaged maternal
money: money, monetary, financ, econom, bank, banking, cash, pay, payment, cost, price, wealth, currency, fiscal
    money bank pay dollars rich debt cash loan salary buy cost wealth tax invest expensive currency profit finance
    borrow affordable wages broke
politics: politic, election, elector, vote, voting, government, democra, parliament, legislat, president, campaign
    election vote president party senator democracy governor congress campaign minister parliament liberal political
    policy Republican candidate mayor legislation ballot diplomatic conservative
computing: comput, software, internet, digital, program, technolog, online, data, code, electronic, hardware, web
    computer software internet download server keyboard online code browser digital install hacker programming email
    website database crash encrypted laptop click
colours: color, colour, paint, hue, shade, pigment, chromatic
    red blue green yellow painted purple bright orange pink dye brown shade black colored pale white grey crimson gold
    hue vivid tint
emotions: emotion, emotive, feel, feeling, mood, sentiment, affective, passion, happiness, happy, sad, sadness, anger
    happy angry sad fear love crying joy hatred jealous proud smile grief anxious lonely ashamed excited disgust tears
    worried mood feel miserable delighted
the body: body, bodies, bodily, anatom, limb, organs, flesh, physiolog, muscle, corporeal
    hand leg blood head skin bone arm muscular eyes chest heartbeat breathe stomach shoulder naked bodily posture spine
    foot flesh limp anatomy
travel: travel, journey, trip, touris, transport, voyage, vacation, holiday, flight, passenger
    travel airport journey tourist hotel flight passport train arrive luggage vacation trip abroad visit destination
    passengers station route boarding guide tickets
music: music, song, sing, singing, singer, instrument, band, melod, concert, tune, guitar
    song guitar sing band album concert piano melody drum jazz musical lyrics orchestra rhythm loud violin tune chorus
    acoustic bass listen rap
school: school, educat, student, teach, learn, academ, universit, college, classroom, study, studies, pedagog
    school teacher student learn exam classroom university homework studied college graduate pupils lesson grades
    academic professor diploma kindergarten campus lecture literacy
the sea: sea, ocean, ship, boat, marine, maritime, nautic, naval, sail, sailing, water, coast, aquatic
    sea ship ocean sail waves fish island coast boat swim marine anchor shore whale harbor tidal beach naval deck shark
    drowned captain coral
outer space: space, astro, planet, star, stellar, celestial, cosmic, cosmos, galaxy, galaxies, galactic, orbit, universe
    space planet star orbit moon rocket galaxy NASA astronauts telescope solar launch Mars cosmic comet satellite
    asteroid universe gravity Earth spacecraft lunar
science: scien, physics, chemi, research, experiment, biolog, laborator, atom, atomic
    science experiment atom laboratory theory chemical physics molecules particle hypothesis measured biologist quantum
    researcher microscope electron evolution observed genes empirical Newton
birth and death: birth, born, death, dying, dead, life, mortal, funeral, pregnan
    born death baby die funeral killed pregnant grave birth corpse alive newborn womb coffin mourning fetal survived
    fatal mortality cemetery
clothes: cloth, wear, dress, garment, apparel, fashion, attire, outfit, textile
    shirt wear shoes dress hat fabric sewing coat pants jacket fashion boots tailor leather sleeves belt skirt cotton
    socks stylish gloves
house and home: house, housing, home, domestic, room, building, furni, dwelling, apartment, residen, interior
    house roof bedroom door kitchen furniture window rent floor wall apartment sofa bathroom lamp tenants renovated
    carpet ceiling stairs cozy landlord
farm: farm, farming, farmer, agricult, agrar, rural, crop, cattle, livestock, harvest, animal, husbandry
    farm cow wheat barn sheep harvest tractor milk chickens soil crop pig rural cattle grazing seeds agricultural horse
    hay fences
film and television: film, movie, cinema, televis, tv, acting, actor, drama, theater, theatre, entertain, hollywood
    movie actor screen television film scene episode director Hollywood starring audience camera studio drama cast
    comedy Netflix viewers premiere cinematic plot
books and writing: book, write, writing, writer, literatur, literary, reading, novel,
publish, poet, poetry, fiction
    book author write novel read page published poem story chapter poetry literature edition library fiction narrator
    essay manuscript literary pen handwriting
cars and driving: car, drive, driver, driving, vehic, automobile, automotive, motor, road, traffic, transport
    car drive engine road wheel parked truck highway tires fuel brakes traffic steering vehicle garage speeding gasoline
    motor seat mechanic crash pedestrian
gardens and plants: plant, garden, flower, botan, vegetation, flora, tree, horticult, leaf, leaves, foliage
    tree flower garden leaf grow grass roots forest bloom green seeds rose planted vine watering bark wild mushroom soil
drink and drugs: drink, drug, alcohol, intoxic, narcotic, substance abuse, liquor, beer, addict, cannabis, drunk, booze
    beer drunk wine marijuana alcohol addict cocaine pub whiskey heroin smoking dealer vodka cannabis sober liquor
    brewery overdose cigarette bar
cold and ice: cold, ice, icy, frozen, freez, frost, snow, snowy, winter, arctic, chill, chilly, polar, low temperature
    cold ice frozen snow winter Arctic frost glacier chilly polar cool ski melt Antarctica hockey skating
    Siberia iceberg snowy
sleep and night: sleep, night, dream, bed, bedtime, rest, resting, tired, slumber, nocturn
    sleep bed dream night tired awake nap pillow insomnia dark nightmare moon asleep midnight blanket rest woke mattress
    exhausted evening dusk
the calendar: calendar, month, monthly, day, week, weekly, date, year, time, season
    Monday January Tuesday annual March Sunday weekly October Friday December weekend April monthly Christmas September
    yesterday Thursday seasonal August Easter decade daily
"""

GRAMMATICAL = """
irregular past tense verbs: past, preterit, irregular, vbd
    went took came gave knew wrote saw fell began drove spoke ate chose threw grew stood held kept lost ran brought sang
verbs ending in -ed: ed, past, participle, preterit, vbd
    wanted called turned looked walked helped moved played started asked opened closed picked finished waited washed
    talked pulled jumped dropped kicked
comparatives: comparative, comparison, comparing, er, jjr
    bigger smaller faster stronger better worse higher lower longer shorter older younger easier harder greater cheaper
    warmer deeper louder richer wider
superlatives: superlative, est, extreme, jjs
    biggest smallest fastest strongest best worst highest lowest longest shortest oldest youngest easiest hardest
    greatest cheapest deepest latest richest largest nearest
plural nouns: plural, -s, in s, with s, in 's', nns
    tables dogs ideas houses trees books roads machines windows letters cities countries weeks stories hands rules boxes
    keys songs rivers engines
prepositions: preposition, adposition, spatial, direction, function word
    of in on at by with from into through over under between among across against beneath behind above toward beside
    via for about after before during without within around along near onto upon throughout amid inside outside
pronouns: pronoun, pronom, prp, function word
    he she it they we you me him her us them himself herself themselves myself yourself itself mine
    I his their our your my ourselves everyone someone anyone nobody everybody somebody nothing something
auxiliary and modal verbs: modal, auxiliar, helping verb, copula, function word
    can could will would shall should may might must been is are was were has had did cannot ought be am
conjunctions: conjunction, connective, connector, connecting, subordinat, coordinat, linking word, function word
    and or but because although while if unless since whereas though nor yet until so whether lest once as than
determiners and quantifiers: determin, quantif, quantit, article, demonstrative, function word
    the a this that these those some any every each all both many few several most no another either enough various
    an less much such neither
number words: number, numer, digit, cardinal, quantit, counting, integer
    one two three four five six seven eight nine ten eleven twelve twenty thirty fifty hundred thousand million billion
    dozen half twice once zero fifteen sixteen forty sixty eighty ninety double triple
first names: name, forename, people, persons
    John Mary David Sarah Michael Jennifer Robert Emily James Laura Kevin Jessica Andrew Rachel Daniel Amy Brian Susan
    Eric Linda Matthew
surnames: surname, name, people, persons
    Smith Johnson Williams Clinton Anderson Thompson Wilson Obama Miller Roberts Cooper Murphy Sanders Harris Walker
    Romney Peterson Sullivan Nelson Hughes Reagan
cities, countries and continents: city, cities, place, countr, nation, geograph, location, toponym, town,
capital cit, region
    London Paris Germany Tokyo Canada Chicago Brazil Moscow Egypt Berlin Texas Sweden Boston Vietnam Toronto Kenya
    Europe Madrid Dublin Norway Seattle Africa Cuba Asia
nationalities: nation, nationalit, demonym, ethnic, countr, people, language
    French German Chinese Russian Japanese Italian Spanish Canadian Mexican British Dutch Swedish Egyptian Israeli
    Korean Turkish Irish Polish Greek Brazilian Norwegian
contracted and slurred verbs: contraction, contracted, negat, informal, colloquial, apostrophe, slurred, slang, auxiliar
    didn doesn wasn couldn wouldn isn hasn hadn shouldn aren weren haven ain gonna wanna gotta dunno cannot cant dont ll
    ve
question words: question, interrogat, wh, relative pron, function word
    who what when where why how which whom whose whether whoever whatever whenever wherever whichever however whereby
    wherein
adverbs of time and frequency: time, temporal, tempor, frequen, adverb
    always never often sometimes usually rarely now then soon already yesterday today tomorrow frequently again
    occasionally later seldom recently daily ever
ordinal words: ordinal, order, rank, sequence, position
    first second third fourth fifth sixth seventh eighth ninth tenth nineteenth twentieth last next final previous
    subsequent latter
intensifiers and hedges: degree, intensif, adverb, hedge, hedging, extent, amplif, emphas, emphat
    very really quite too extremely rather pretty somewhat totally absolutely almost fairly incredibly slightly highly
    utterly completely barely hardly just so
linking words that begin a sentence: connect, conjunct, transition, linking, discourse, sentence adverb
    However Therefore Moreover Although Furthermore Meanwhile Nevertheless Instead Additionally Thus Besides Despite
    Finally Because Otherwise Unfortunately Indeed Similarly Likewise Hence Still
programming keywords: program, code, coding, comput, syntax, software, script, keyword
    int void const return static printf null boolean else sizeof struct def func public import char async var println
"""

ORTHOGRAPHIC = """
words ending in -ing: ing, gerund, participle, progressive, continuous, vbg
    being doing having making taking looking working running saying telling holding thinking starting leaving reading
    bringing losing sitting asking showing sending
words ending in -ness: ness, abstract noun, states, quality, qualities
    happiness darkness weakness awareness illness willingness kindness sickness fitness loneliness madness sadness
    consciousness effectiveness forgiveness usefulness hardness uniqueness openness wilderness readiness
words ending in -ly: ly, adverb, manner
    quickly slowly nearly clearly simply easily directly exactly badly quietly deeply heavily likely softly firmly
    properly largely strongly wildly barely rapidly
words ending in -tion: tion, ion, abstract noun, nominali
    nation action position information election education station solution situation tradition operation population
    attention collection function production section relation foundation protection
words ending in -able or -ible: able, ible, abilit, possibil
    available possible comfortable reasonable valuable capable vulnerable horrible flexible reliable suitable profitable
    visible responsible terrible remarkable acceptable sustainable notable memorable
words ending in -ism: ism, ideolog, doctrine, belief
    racism capitalism socialism terrorism criticism journalism feminism nationalism tourism optimism communism mechanism
    realism activism fascism sexism liberalism autism Judaism baptism
words ending in -less or -ful: less, ful
    careful useless powerful homeless helpful endless beautiful wireless successful hopeless peaceful reckless wonderful
    meaningless painful restless harmless grateful ruthless fearful
words beginning with un-: un, negat, prefix, opposite, privative
    unable unhappy unknown unlikely unusual unfair uncertain unwilling unfinished unclear unpleasant unemployed unstable
    unexpected unpopular unwanted undo unlock uncomfortable unnecessary unhealthy
words beginning with re-: re, again, prefix, repetit, repeat, iterative
    return rebuild replace restore reconsider rewrite reopen recover renew reform recycle revisit resume repeat redesign
    remake reproduce reload reclaim retake
words beginning with inter-: inter, prefix
    international interact interview interface internal interior interest interval interpret intervene intersection
    interrupt intermediate interim interfere internet intercept interstate interchange interrog
numbers written in digits: number, numer, digit, integer, figures
    365 250 128 750 400 911 137 512 640 225 310 186 273 999 450 144 702 331 256
years: year, date, calendar, century, centuries, decade, yyyy
    1998 2004 1945 1969 2012 1984 1865 1989 2001 1914 1939 1973 1929 2016 1956 1991 1962 2008
abbreviations in capital letters: abbreviat, acronym, initialism, initials, capital, uppercase, upper case,
upper-case, all-caps, all caps
    FBI DNA HTML NATO CEO USB GDP NBA BBC IBM EPA CPU HIV FAQ PDF GPS ESPN NSA LGBT SQL UFO MRI
shouted words in capital letters: capital, uppercase, upper case, upper-case, all-caps, all caps, shout
    THE AND NOT YOU WITH THIS FROM YOUR MUST HAVE ONLY BUT GOOD MORE HERE TIME FREE LOVE VERY WHAT REAL DOWN
punctuation marks: punctuation, symbol, special character, non-alphabetic, non-alphanumeric
    . , : ; ! ? - – — ... … / & * + = % # @ • -- ?? :: | ~
brackets and quotation marks: bracket, parenthes, quotation, quote, brace, punctuation, delimiter
    ( ) [ ] { } " ' (" ); ). ), `` « » [" [[ (( "' {" '' "" () [] {}
single letters: letter, alphabet, single character, initials
    b C d F g h J k L m n P q r S t V w X z é α β μ τ Δ
"""

WITHOUT_A_SPACE = """
word fragments without a leading space: fragment, suffix, subword, sub-word, wordpiece, word piece, word part,
part of a word, parts of words, partial, incomplete, endings, morpheme, syllable, continuation, no leading space,
without a leading space
    inton ateg ellig uation ipped icip semb secut irgin uten apse inated olute ernel iary ingu rowd otic epend atory
    ably ments ological
identifiers in camel case: camel, code, coding, identifier, variable, program, software, comput, concatenat, mixed case
    displayText actionDate externalActionCode isSpecialOrderable quickShipAvailable inventoryQuantity
    channelAvailability soDeliveryDate dayName AppData ModLoader NetMessage ItemImage SourceFile FontSize ThumbnailImage
    TextColor ItemTracker YouTube LinkedIn
"""

GROUPS = (
    *parse("semantic", SEMANTIC),
    *parse("grammatical", GRAMMATICAL),
    *parse("orthographic", ORTHOGRAPHIC),
    *parse("orthographic", WITHOUT_A_SPACE, space=""),
)


def accepts(group: Group, name: str) -> bool:
    """Whether `name` is right: whether it has one of `group.accepted`, in any case.

    What is accepted has to begin a word of the name, and if it has four letters or fewer, be that word or its plural:
    "ing" is in "words in -ing" and not in "things".
    """
    return name_pattern(group.accepted).search(name.lower()) is not None


@functools.cache
def name_pattern(accepted: tuple[str, ...]) -> re.Pattern[str]:
    whole = [re.escape(term) + r"s?(?![a-z])" for term in accepted if len(term) <= 4]
    stems = [re.escape(term) for term in accepted if len(term) > 4]
    return re.compile(rf"(?<![a-z])({'|'.join(whole + stems)})")


def key(text: str) -> str:
    """Two tokens are the same word when this is equal."""
    return text.strip().casefold()


def inflections(word: str) -> set[str]:
    """`word` with the endings of plurals and verbs, right or wrong."""
    stem = word[:-1] if word.endswith(("e", "y")) else word
    endings = ("", "s", "es", "ed", "d", "ing")
    return {*(word + ending for ending in endings), *(stem + ending for ending in ("ing", "ies", "ied"))}


def is_special(text: str) -> bool:
    return SPECIAL.fullmatch(text) is not None


@functools.cache
def inside(group: Group) -> frozenset[str]:
    """Keys of the group's words and of their inflections."""
    return frozenset().union(*(inflections(key(word)) for word in group.words))


def members(group: Group, texts: Sequence[str]) -> Int64[np.ndarray, " members"]:
    """Ids of the group's words that `texts` has, rising."""
    ids = ids_of(tuple(texts))
    return np.array(sorted(ids[word] for word in group.words if word in ids), dtype=np.int64)


@functools.cache
def ids_of(texts: tuple[str, ...]) -> dict[str, int]:
    """The lowest id of each text."""
    return {text: id for id, text in reversed(list(enumerate(texts)))}


@functools.cache  # one pass over the vocabulary for each group, and callers make lists of many lengths and seeds
def outside(group: Group, texts: tuple[str, ...]) -> Int64[np.ndarray, " others"]:
    """Ids of the tokens that are not special, nor words of the group or their inflections, nor of the group's form."""
    own = inside(group)
    ids = [id for id, word in ordinary(texts).items() if word not in own]
    if group.form:
        has_form = re.compile(group.form).fullmatch
        ids = [id for id in ids if not has_form(texts[id])]
    return np.array(ids, dtype=np.int64)


@functools.cache
def ordinary(texts: tuple[str, ...]) -> dict[int, str]:
    """The id and key of each token that is not special."""
    return {id: key(text) for id, text in enumerate(texts) if not is_special(text)}


def nearest(
    rank: Num[np.ndarray, " d_vocab"],
    candidates: Int64[np.ndarray, " candidates"],
    words: Int64[np.ndarray, " words"],
) -> dict[int, Int64[np.ndarray, " nearest"]]:
    """For each of `words`, the N_NEAREST `candidates` (all, if fewer) whose rank is nearest to its own."""
    rank = rank.astype(np.float64)  # differences of unsigned numbers would wrap
    ids = candidates[np.argsort(rank[candidates], kind="stable")]
    nearest_ids = {}
    for word, position in zip(words.tolist(), np.searchsorted(rank[ids], rank[words]).tolist(), strict=True):
        window = ids[max(position - N_NEAREST, 0) : position + N_NEAREST]
        nearest_ids[word] = window[np.argsort(np.abs(rank[window] - rank[word]), kind="stable")[:N_NEAREST]]
    return nearest_ids


def draw(
    rng: np.random.Generator, candidates: Int64[np.ndarray, " candidates"], keys: Sequence[str], taken: set[str]
) -> int:
    """One of the candidates whose key is not taken, each as likely as the others."""
    for id in rng.permutation(candidates).tolist():
        if keys[id] not in taken:
            return id
    raise ValueError("No token is left to draw; the vocabulary is too small for lists of this length.")


def planted_lists(
    groups: Sequence[Group],
    texts: Sequence[str],
    rank: Num[np.ndarray, " d_vocab"],
    m: int,
    n_lists: int,
    length: int = 15,
    seed: int = 0,
) -> tuple[Int64[np.ndarray, "n_lists length"], Int64[np.ndarray, " n_lists"]]:
    """Token ids of `n_lists` lists of `length`, and the place in `groups` of the group that each has `m` words of.

    The groups take turns; those of which `texts` has fewer than `m` words are left out. Each other token is one of the
    N_NEAREST to a word of the group that was not drawn (if all were, to one that was) in `rank`, the place of a token
    by its frequency. It is not special, no inflection of a word of the group and not of the group's form. No two tokens
    of a list are the same but for case and surrounding spaces. Raises ValueError where that cannot be.
    """
    if not 0 <= m <= length:
        raise ValueError(f"m is {m}: of a list of {length} tokens, 0 to {length} can belong to the group.")
    words = {g: ids for g, group in enumerate(groups) if len(ids := members(group, texts)) >= max(m, 1)}
    if not words:
        raise ValueError(f"None of the {len(groups)} groups has {m} words in this vocabulary; lower m.")
    keys = [key(text) for text in texts]
    by_rank = np.argsort(rank, kind="stable")  # once, for a sort of what is in order already takes no time
    near = {}
    for g, ids in words.items():
        others = by_rank[np.isin(by_rank, outside(groups[g], tuple(texts)))]
        near[g] = nearest(rank, others, ids)
    rng = np.random.default_rng(seed)
    index = np.resize(np.array(list(words), dtype=np.int64), n_lists)
    lists = np.empty((n_lists, length), dtype=np.int64)
    for i, g in enumerate(index.tolist()):
        drawn = rng.choice(words[g], m, replace=False)
        left = np.setdiff1d(words[g], drawn)
        ids = drawn.tolist()
        for word in rng.choice(left if len(left) else drawn, length - m).tolist():
            ids.append(draw(rng, near[g][word], keys, {keys[id] for id in ids}))
        lists[i] = rng.permutation(ids)
    return lists, index


def background_lists(
    texts: Sequence[str], rank: Num[np.ndarray, " d_vocab"], n_lists: int, length: int = 15, seed: int = 0
) -> Int64[np.ndarray, "n_lists length"]:
    """Token ids of `n_lists` lists with nothing planted, each token one of the N_NEAREST to a word of any of GROUPS.

    Any token but a special one can be drawn, so that what goes together by chance is there; but no list has more than
    two words, or inflections of words, of one group. No two tokens of a list are the same but for case and surrounding
    spaces. Raises ValueError where that cannot be.
    """
    words = np.unique(np.concatenate([members(group, texts) for group in GROUPS]))
    if not len(words):
        raise ValueError(f"None of the groups' words is in this vocabulary of {len(texts)} tokens.")
    keys = [key(text) for text in texts]
    near = nearest(rank, np.array(list(ordinary(tuple(texts)))), words)
    groups_of: dict[str, list[int]] = {}
    for g, group in enumerate(GROUPS):
        for word in inside(group):
            groups_of.setdefault(word, []).append(g)
    rng = np.random.default_rng(seed)
    lists = np.empty((n_lists, length), dtype=np.int64)
    for i in range(n_lists):
        taken: set[str] = set()
        count: Counter[int] = Counter()
        for j, word in enumerate(rng.choice(words, length).tolist()):
            lists[i, j] = draw(rng, near[word], keys, taken)
            drawn = keys[lists[i, j]]
            taken.add(drawn)
            for g in groups_of.get(drawn, ()):
                count[g] += 1
                if count[g] == 2:
                    taken |= inside(GROUPS[g])
    return lists
