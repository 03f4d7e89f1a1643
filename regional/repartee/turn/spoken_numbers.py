"""Numbers as they are said, in the ten languages of :mod:`~repartee.turn.languages`.

The words are CLDR's (unicode-rbnf). What stands here beside them are the words that join numbers, and the names of
currencies, a row a language. Pure, but for the rules that are read when a language is first used.
"""

from dataclasses import dataclass
from functools import cache

from unicode_rbnf import FormatPurpose, RbnfEngine

MAX_DIGITS = 12
"""A longer number is said digit by digit."""


@dataclass(frozen=True, slots=True)
class SpokenSigns:
    """One language's words for what is written as a sign. ``currencies`` are singular and plural, by their sign."""

    point: str
    minus: str
    percent: str
    hour: str
    at: str
    dot: str
    slash: str
    dash: str
    decimal_comma: bool
    currencies: dict[str, tuple[str, ...]]


def _money(
    euro: str, dollar: str, pound: str, yen: str, rupee: str, zloty: str
) -> dict[str, tuple[str, ...]]:
    names = zip("€$£¥₹", (euro, dollar, pound, yen, rupee), strict=True)
    return {sign: tuple(forms.split("|")) for sign, forms in (*names, ("zł", zloty))}


SIGNS = {
    "en": SpokenSigns(
        "point",
        "minus",
        "percent",
        "",
        "at",
        "dot",
        "slash",
        "dash",
        False,
        _money("euro|euros", "dollar|dollars", "pound|pounds", "yen", "rupee|rupees", "zloty|zlotys"),
    ),
    "de": SpokenSigns(
        "Komma",
        "minus",
        "Prozent",
        "Uhr",
        "ät",
        "Punkt",
        "Schrägstrich",
        "Bindestrich",
        True,
        _money("Euro", "Dollar", "Pfund", "Yen", "Rupie|Rupien", "Zloty"),
    ),
    "fr": SpokenSigns(
        "virgule",
        "moins",
        "pour cent",
        "heures",
        "arobase",
        "point",
        "slash",
        "tiret",
        True,
        _money("euro|euros", "dollar|dollars", "livre|livres", "yen|yens", "roupie|roupies", "zloty|zlotys"),
    ),
    "es": SpokenSigns(
        "coma",
        "menos",
        "por ciento",
        "",
        "arroba",
        "punto",
        "barra",
        "guion",
        True,
        _money("euro|euros", "dólar|dólares", "libra|libras", "yen|yenes", "rupia|rupias", "esloti|eslotis"),
    ),
    "it": SpokenSigns(
        "virgola",
        "meno",
        "per cento",
        "e",
        "chiocciola",
        "punto",
        "barra",
        "trattino",
        True,
        _money("euro", "dollaro|dollari", "sterlina|sterline", "yen", "rupia|rupie", "zloty"),
    ),
    "pt": SpokenSigns(
        "vírgula",
        "menos",
        "por cento",
        "horas e",
        "arroba",
        "ponto",
        "barra",
        "hífen",
        True,
        _money("euro|euros", "dólar|dólares", "libra|libras", "iene|ienes", "rupia|rupias", "zlóti|zlótis"),
    ),
    "nl": SpokenSigns(
        "komma",
        "min",
        "procent",
        "uur",
        "apenstaartje",
        "punt",
        "slash",
        "streepje",
        True,
        _money("euro", "dollar", "pond", "yen", "roepie", "zloty"),
    ),
    "ja": SpokenSigns(
        "点",
        "マイナス",
        "パーセント",
        "時",
        "アットマーク",
        "ドット",
        "スラッシュ",
        "ハイフン",
        False,
        _money("ユーロ", "ドル", "ポンド", "円", "ルピー", "ズウォティ"),
    ),
    "hi": SpokenSigns(
        "दशमलव",
        "ऋण",
        "प्रतिशत",
        "बजकर",
        "ऐट",
        "डॉट",
        "स्लैश",
        "डैश",
        False,
        _money("यूरो", "डॉलर", "पाउंड", "येन", "रुपया|रुपये", "ज़्लॉटी"),
    ),
    "pl": SpokenSigns(
        "przecinek",
        "minus",
        "procent",
        "",
        "małpa",
        "kropka",
        "ukośnik",
        "myślnik",
        True,
        _money(
            "euro",
            "dolar|dolary|dolarów",
            "funt|funty|funtów",
            "jen|jeny|jenów",
            "rupia|rupie|rupii",
            "złoty|złote|złotych",
        ),
    ),
}
"""By ISO 639-1 code."""  # fmt: skip


@cache
def _engine(language: str) -> RbnfEngine:
    return RbnfEngine.for_language(language)


def prepare(language: str) -> None:
    """Read a language's rules now: it takes some 50 ms, once."""
    cardinal(1, language)


@cache
def _small(number: int, language: str) -> str:
    spelt = _engine(language).format_number(number)
    return (spelt.text_by_ruleset.get("spellout-numbering") or spelt.text).replace("\u00ad", "")


def cardinal(number: int, language: str) -> str:
    """A whole number in words."""
    if number < 10_000:
        return _small(number, language)
    spelt = _engine(language).format_number(number)
    return (spelt.text_by_ruleset.get("spellout-numbering") or spelt.text).replace("\u00ad", "")


def year(number: int, language: str) -> str:
    """A number of four digits: in English, years are said in pairs."""
    if language != "en" or number % 1000 < 10 or not 1100 <= number < 2100:
        return cardinal(number, language)
    return str(_engine(language).format_number(number, FormatPurpose.YEAR).text)


def digits(text: str, language: str) -> str:
    """Digit by digit."""
    return gap(language).join(_small(int(digit), language) for digit in text)


def gap(language: str) -> str:
    """What stands between two words."""
    return "" if language == "ja" else " "


def decimal(whole: str, fraction: str, language: str) -> str:
    """A number with a fraction, whose digits are said one by one."""
    number = cardinal(int(whole), language)
    if not fraction:
        return number
    return gap(language).join((number, SIGNS[language].point, digits(fraction, language)))


def money(sign: str, whole: str, cents: str, language: str) -> str:
    """An amount: the number, the currency in its right form, and what is left of the smaller coin."""
    number = int(whole)
    name = _form(SIGNS[language].currencies[sign], number, language)
    if language == "ja":
        return decimal(whole, cents.rstrip("0"), language) + name
    amount = _counting(number, language)
    small = int(cents or 0)
    return " ".join((amount, name, *([cardinal(small, language)] if small else [])))


def _counting(number: int, language: str) -> str:
    """A number before what it counts: "un dollaro", and not "uno"."""
    spelt = _engine(language).format_number(number)
    counting = spelt.text_by_ruleset.get("spellout-cardinal-masculine")
    return counting.replace("\u00ad", "") if counting else cardinal(number, language)


def _form(forms: tuple[str, ...], number: int, language: str) -> str:
    if number == 1 or (language in ("fr", "hi") and number == 0):
        return forms[0]
    if len(forms) == 3:
        few = number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14)
        return forms[1] if few else forms[2]
    return forms[-1]


def clock(hours: int, minutes: int, language: str) -> str:
    """A time of day, of 24 hours."""
    space, word = gap(language), SIGNS[language].hour
    said = cardinal(hours, language)
    past = cardinal(minutes, language)
    if language == "ja":
        return f"{said}時" + (f"{past}分" if minutes else "")
    if language == "en":
        past = "" if not minutes else (f"oh {past}" if minutes < 10 else past)
        return f"{said} {past}" if past else f"{said} o'clock" if hours < 13 else f"{said} hundred"
    if not minutes:
        return f"{said} {word.removesuffix(' e')}" if word not in ("", "e", "बजकर") else said
    said = "ein" if language == "de" and hours == 1 else said
    return space.join(part for part in (said, word, past, "मिनट" if language == "hi" else "") if part)
