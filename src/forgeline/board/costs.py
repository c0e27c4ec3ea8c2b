"""What each stage took: seconds, memory, energy, money."""

from forgeline.board import figures
from forgeline.board.grids import Grid
from forgeline.board.reading import Run
from forgeline.records import Meter, Number


def meters(run: Run) -> dict[str, Meter]:
    """What each stage took."""
    return {stage: record.meter for stage, record in run.records.items() if record.meter}


def cost_table(run: Run) -> Grid:
    """What each stage took, and all of them together; what nothing measured is unknown."""
    each = meters(run)
    rows = [[stage, *cost_cells([meter])] for stage, meter in each.items()]
    together = [["together", *cost_cells(list(each.values()))]] if len(rows) > 1 else []
    heads = ["seconds", "cpu seconds", "peak memory", "energy", "cost"]
    return Grid("", [("stage", False), *((head, True) for head in heads)], rows + together, 0)


def cost_cells(taken: list[Meter]) -> list[str]:
    """Sums over some meters, and the highest of their peaks."""
    return [
        figures.duration(sum(meter.seconds for meter in taken)),
        figures.duration(sum(meter.cpu_seconds for meter in taken)),
        figures.size(max(meter.peak_bytes for meter in taken)),
        figures.value_text(Number(value=total([meter.joules for meter in taken]), unit="J")),
        figures.value_text(Number(value=total([meter.cost for meter in taken]))),
    ]


def total(values: list[float | None]) -> float | None:
    """The sum; unknown as soon as one of the values is."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def totals(run: Run) -> dict[str, Number]:
    """Energy, cost and carbon of all stages so far; what is unknown says why."""
    taken, grams_per_kwh = meters(run).values(), run.spec.budget.carbon_per_kwh
    joules, cost = total([meter.joules for meter in taken]), total([meter.cost for meter in taken])
    grams = None if joules is None or grams_per_kwh is None else joules / 3.6e6 * grams_per_kwh
    energy_why = recorded_why(run, "energy.total", "this machine gave no reading of its energy")
    carbon_why = energy_why if joules is None else "[budget] carbon_per_kwh is not set"
    return {
        "cost": Number(value=cost, why=recorded_why(run, "cost.total", "[budget] price_per_hour is not set")),
        "energy": Number(value=joules, unit="J", why=energy_why),
        "carbon": Number(value=grams, unit="gCO2e", why=recorded_why(run, "carbon.total", carbon_why)),
    }


def recorded_why(run: Run, name: str, otherwise: str) -> str:
    """Why a number is unknown, in the words of its record."""
    return (name in run.numbers and run.numbers[name].why) or otherwise
