"""The page of the benchmark of forecasts: tables of errors, skills, lags and costs."""

import numpy as np
from stored_tables import head, spread

SEEDS = range(3)
RATES = {"demand": (0.003, 0.01, 0.03), "temperature": (0.003, 0.01)}
SHOWN = {"demand": "GW", "temperature": "°C"}
LAST, YESTERDAY, WEEK = "last value", "yesterday", "last week"
BASELINES = (LAST, YESTERDAY, WEEK)
LINES = ("linear, values", "linear, changes")
CHANGES = ("CNN-LSTM, changes", "1D-CNN, changes")
NETWORKS = {
    "demand": ("CNN-LSTM, values", "1D-CNN, values", *CHANGES),
    "temperature": CHANGES,
}
HOURS = (1, 6, 12, 24)


def models(target):
    """Return the names of all that is trained or solved for a target."""
    return (*NETWORKS[target], *LINES)


def chosen_rate(found, target, method):
    """Return the rate of the least validation error, the mean of three seeds."""

    def error(rate):
        runs = [found[f"{target}/{method}/{rate}/{seed}"] for seed in SEEDS]
        return np.mean([run["validation"] for run in runs])

    return min(RATES[target], key=error)


def runs(found, target, method):
    """Return what was measured: a record a seed, at the chosen rate."""
    if method not in NETWORKS[target]:
        return [found[f"{target}/{method}"]]
    rate = chosen_rate(found, target, method)
    return [found[f"{target}/{method}/{rate}/{seed}"] for seed in SEEDS]


def errors(found, target, method):
    """Return the mean absolute error (seed, horizon) on the test part."""
    return np.array([run["errors"] for run in runs(found, target, method)])


def skill(found, target, method, baseline, hour):
    """Return the skill of each seed, so many hours ahead."""
    theirs = errors(found, target, baseline)[0, hour - 1]
    return 1 - errors(found, target, method)[:, hour - 1] / theirs


def values(found, target, method, measure):
    """Return one measure of each seed."""
    return [run[measure] for run in runs(found, target, method)]


def score_table(found, target):
    """Return the error of all hours; R², skill and lags of the first one."""
    lines = head(
        [
            f"24 hours ({SHOWN[target]})",
            "1 h: R²",
            "1 h: skill",
            "lag 0",
            "lag 1",
        ]
    )
    for method in (LAST, *models(target)):
        lags = np.array(values(found, target, method, "lags"))
        cells = [
            spread(errors(found, target, method).mean(axis=1)),
            spread(values(found, target, method, "r2")),
            spread(skill(found, target, method, LAST, 1)),
            *(spread(lags[:, lag]) for lag in range(2)),
        ]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def strongest(found, target, hour):
    """Return the baseline of the least error, so many hours ahead."""
    return min(BASELINES, key=lambda b: errors(found, target, b)[0, hour - 1])


def skill_table(found, target):
    """Return skills against the strongest baseline of each horizon."""
    best = [strongest(found, target, hour) for hour in HOURS]
    heads = [f"{hour} h, {name}" for hour, name in zip(HOURS, best, strict=True)]
    lines = head(heads)
    for method in models(target):
        cells = [
            spread(skill(found, target, method, name, hour))
            for hour, name in zip(HOURS, best, strict=True)
        ]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def cost_table(found):
    """Return the chosen rate, the validation errors, epochs and CPU seconds."""
    lines = head(["rate", *map(str, RATES["demand"]), "epochs", "CPU s"])
    for target, methods in NETWORKS.items():
        for method in methods:
            tried = [
                [found[f"{target}/{method}/{rate}/{s}"]["validation"] for s in SEEDS]
                for rate in RATES[target]
            ]
            missing = len(RATES["demand"]) - len(tried)
            cells = [
                str(chosen_rate(found, target, method)),
                *(spread(each, 3) for each in tried),
                *[""] * missing,
                f"{np.mean(values(found, target, method, 'epochs')):.0f}",
                f"{np.mean(values(found, target, method, 'seconds')):.0f}",
            ]
            lines.append(f"| {target}: {method} | {' | '.join(cells)} |")
    return lines


def tables(found):
    """Return the lines of every file."""
    return {
        "scores": score_table(found, "demand"),
        "skills": skill_table(found, "demand"),
        "temperature": score_table(found, "temperature"),
        "cost": cost_table(found),
        "measured": [found["measured"] + "."],
    }
