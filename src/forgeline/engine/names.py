"""What the names of columns say: of entities, of keys, of categories and of time."""

from __future__ import annotations

import re


def vocabulary(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


BEINGS = vocabulary(
    "patient subject subj customer cust client user usr person member participant respondent student pupil employee emp"
    " worker household family account acct device machine engine vehicle driver player animal donor session visitor"
    " speaker author individual borrower applicant citizen owner guest passenger"
)
"""Words for what acts, is treated or is measured again and again."""
KEYS = vocabulary("id ids uuid guid uid key identifier code no nr number ref name")
PLAIN_KEYS = KEYS - {"code", "no", "nr", "number", "ref", "name"}
PLACES = vocabulary(
    "branch store shop city town country nation state province region county zip zipcode postal postcode post area"
    " district zone borough airport station agent agency company product item sku category cat type kind brand make"
    " model department dept job occupation profession education language currency channel campaign industry carrier"
    " airline route class level grade course module subject_code street suburb neighborhood neighbourhood location"
    " site origin destination diagnosis icd species title"
)
"""Words for what rows are filed under: a category, however many levels it has."""
BIRTHS = vocabulary("birth birthday birthdate dob born built construction renovated renovation founded expiry")
BIRTHS |= {"expiration", "expires", "maturity", "death", "manufactured", "model", "due", "valid"}
CLOCKS = vocabulary("date time timestamp datetime ts created epoch dt moment when")
CLOCKS |= {"updated", "recorded", "observed", "dteday", "posted", "pickup", "start", "begin", "occurred"}
YEARS = vocabulary("year yr yyyy")
STEPS = vocabulary("period t index step tick cycle round seq sequence day week month quarter")
CALENDAR = vocabulary("hour hr minute second day weekday dow dayofweek week month mnth mon quarter season")
CALENDAR |= YEARS | {"holiday", "workingday", "weekend", "doy", "dayofyear"}
DURATIONS = vocabulary("since until per lead wait waiting duration elapsed response spent in to of")
"""Words that make a time a span: `time_in_hospital`, `lead_time`."""


def words(name: str) -> list[str]:
    """Lower-case words of a name: `customerID`, `id_student`, `Cust-No`."""
    found = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]
    return [part for word in found for part in unglued(word)]


def unglued(word: str) -> tuple[str, ...]:
    """`userid` as user and id."""
    stem = word[:-2] if word.endswith("id") else ""
    return (stem, "id") if stem in BEINGS | PLACES else (word,)


def named_entity(name: str) -> float:
    """What a name says for an entity: .8 `patient_id`, .7 `customer`, .4 `group_id`, −1 `city_id`, 0 nothing."""
    said = [word for word in words(name) if not word.isdigit()]
    if PLACES & set(said):
        return -1.0
    if BEINGS & set(said) and set(said) <= BEINGS | KEYS:
        return 0.8 if KEYS & set(said) else 0.7
    return 0.4 if PLAIN_KEYS & set(said) else 0.0


def named_time(name: str) -> float:
    """What a name says for a time: .6 `created_at`, .5 `year`, .3 `day`, −1 `birth_date`, 0 nothing."""
    said = set(words(name))
    if said & BIRTHS or said & DURATIONS:
        return -1.0
    if said & CLOCKS:
        return 0.6
    if said & YEARS:
        return 0.5
    return 0.3 if said & STEPS else 0.0
