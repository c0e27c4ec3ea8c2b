"""Columns that look like protected attributes, by the words of their names and by what they hold.

Protected by the GDPR (article 9), the EU Charter (article 21) or US law (Title VII, ECOA, ADA, ADEA): sex, race, age,
nationality, religion, disability, marital status, pregnancy, sexual orientation, political opinion, service.
"""

import re
import unicodedata

import polars as pl


def listed(text: str) -> frozenset[str]:
    """The words of a list."""
    return frozenset(text.split())


PERSONS = listed(
    "person patient pt customer client applicant driver employee worker respondent subject user mother father maternal "
    "paternal parent spouse husband wife member student pupil victim suspect offender defendant insured policyholder "
    "borrower buyer owner passenger player participant candidate voter resident head donor guest perpetrator officer "
    "teacher child partner holder individual applicants co coapplicant"
)
FILLERS = listed(
    "at in of the is a yr yrs year years group groups grp band range bracket cat category class bin code id desc label "
    "onset diagnosis diag admission enrollment enrolment entry baseline visit death hire first status type self "
    "reported derived observed no num"
)
NAMES: dict[str, frozenset[str]] = {
    "sex": listed(
        "sex gender sexe sexo sesso genero geschlecht geslacht kon kjonn kjoenn plec pohlavi cinsiyet sukupuoli пол "
        "性别 性別 male female"
    ),
    "race": listed("race ethnicity ethnic ethnie raza raca etnia etnicidad ethnizitat etnicitet раса hispanic latino"),
    "age": listed("age edad idade alder leeftijd wiek ika yas возраст 年龄 年齢 alter"),
    "nationality": listed(
        "nationality citizenship citizen nationalitat nationalite nacionalidad nacionalidade nazionalita "
        "staatsangehorigkeit cittadinanza immigrant immigration migrant foreigner birthplace гражданство 国籍"
    ),
    "religion": listed("religion religious religione religia konfession вероисповедание 宗教"),
    "disability": listed("disability disabled handicap handicapped behinderung discapacidad deficiencia инвалидность"),
    "marital status": listed("marital marriage married familienstand matrimonial"),
    "pregnancy": listed(
        "pregnant pregnancy pregnancies maternity schwanger schwangerschaft embarazo embarazada enceinte"
    ),
    "sexual orientation": listed("lgbt lgbtq"),
    "military service": listed("veteran veterans"),
}
"""Attribute → words that a column's name has; accents are taken off."""
PHRASES: dict[str, str] = {
    "senior citizen": "age",
    "date of birth": "age",
    "birth date": "age",
    "birth year": "age",
    "birth day": "age",
    "year of birth": "age",
    "year birth": "age",
    "dob": "age",
    "yob": "age",
    "birthdate": "age",
    "birthday": "age",
    "birthyear": "age",
    "geburtsdatum": "age",
    "geburtsjahr": "age",
    "date de naissance": "age",
    "fecha de nacimiento": "age",
    "data de nascimento": "age",
    "native country": "nationality",
    "country of birth": "nationality",
    "birth country": "nationality",
    "place of birth": "nationality",
    "foreign worker": "nationality",
    "national origin": "nationality",
    "skin color": "race",
    "skin colour": "race",
    "african american": "race",
    "civil status": "marital status",
    "etat civil": "marital status",
    "estado civil": "marital status",
    "stato civile": "marital status",
    "sexual orientation": "sexual orientation",
    "gender identity": "sex",
    "political opinion": "political opinion",
    "political affiliation": "political opinion",
    "party affiliation": "political opinion",
    "military status": "military service",
}
"""Words that follow each other in a column's name → attribute."""
STRICT = frozenset({"age", "race"})
"""Words for things too (the age of a house, a horse race): every other word must be one of persons or fillers."""
MOST_LEVELS = {"sex": 12, "disability": 12, "nationality": 300}
"""Distinct values from which on a name is not believed; others: 60."""
OLDEST = 125

MEN = listed("male man homme hombre mann mannlich masculin masculino maschio mand")
WOMEN = listed("female woman femme mujer frau weiblich feminin feminino femenino femmina kvinde kvinna")
SKINS = listed("white black caucasian")
RACES = listed(
    "asian hispanic caucasian latino latina african islander eskimo amerindian aboriginal mestizo mulatto native"
)
RELIGIONS = listed(
    "christian muslim jewish hindu buddhist catholic protestant islam christianity hinduism buddhism judaism sikh "
    "atheist orthodox"
)
SINGLES = listed("single divorced widowed separated unmarried never widow divorcee")
ORIENTATIONS = listed("homosexual bisexual gay lesbian")


def words(text: str) -> list[str]:
    """The words of a name, small and without accents: `ApplicantSex`, `applicant.sex` → applicant, sex."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    parted = re.sub(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3 \2\4", plain)
    return re.findall(r"[^\W\d_]+", parted.lower())


def by_name(name: str) -> str:
    """The protected attribute that a column's name says it holds; empty for none."""
    found = words(name)
    text = f" {' '.join(found)} "
    for phrase, attribute in PHRASES.items():
        if f" {phrase} " in text:
            return attribute
    for attribute, known in NAMES.items():
        hit = [word for word in found if word in known]
        others = [word for word in found if word not in known]
        if hit and (attribute not in STRICT or all(word in PERSONS | FILLERS for word in others)):
            return attribute
    return ""


def by_values(values: list[str], shares: list[float]) -> str:
    """The protected attribute that a column's texts, with their shares of the rows, are of; empty for none.

    Only whole words count: M and F may be misdemeanour and felony.
    """
    each = [frozenset(words(value)) for value in values]
    there = frozenset().union(*each)

    def told(known: frozenset[str]) -> float:
        return sum(share for found, share in zip(each, shares, strict=True) if found & known)

    marital = SINGLES | frozenset({"married", "husband", "wife"})
    tests = {
        "sex": there & MEN and there & WOMEN and told(MEN | WOMEN) >= 0.6,
        "race": there & SKINS and there & (RACES - SKINS) and told(SKINS | RACES) >= 0.5,
        "religion": len(there & RELIGIONS) > 1 and told(RELIGIONS) >= 0.5,
        "marital status": (("married" in there and there & SINGLES) or {"husband", "wife"} <= there)
        and told(marital) >= 0.4,
        "sexual orientation": "heterosexual" in there and there & ORIENTATIONS,
    }
    return next((attribute for attribute, passed in tests.items() if passed), "")


def believable(attribute: str, name: str, dtype: pl.DataType, distinct: int, span: tuple[float, float]) -> bool:
    """Whether a column named after an attribute can hold it: few values; an age that nearly always is 0 to 125.

    `span`: between which numbers nearly all of the column lie.
    """
    if attribute == "age":
        born = not NAMES["age"] & set(words(name))
        return born or not dtype.is_numeric() or (span[0] >= 0 and span[1] <= OLDEST)
    return distinct <= MOST_LEVELS.get(attribute, 60)
