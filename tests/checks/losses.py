"""Task 5: is each loss the right one, in value and gradient, and if not, which mistake is it?

A loss is one row of numbers here: its value, then its gradient with respect to the logits of the
LIKELY actions and the values, N rows of LIKELY + 1.
"""

import numpy as np

from languages import N_, _
from tests.checks.draws import LIKELY
from tests.checks.freedoms import CLOSE, close

__all__ = [
    "TERMS",
    "effective",
    "fit",
    "judge_loss",
    "judge_terms",
    "name_changed",
    "right_rows",
    "signed",
    "sum_of",
]

TERMS = ("policy_loss", "value_loss", "entropy")
SIGNS = {
    "policy_loss": N_("minus the mean of advantage · log_prob"),
    "value_loss": N_("a mean of squares is never negative"),
    "entropy": N_("−Σ π log π is never negative"),
}


def effective(gradient, probabilities):
    """Returns a gradient with respect to logits and values, wherever it went through.

    Args:
        gradient: [N, A + 1 + A], of logits, values and log-probabilities.
        probabilities: [N, LIKELY].

    Returns:
        [N, LIKELY + 1], and the largest number that belongs to any other logit.
    """
    n_actions = (gradient.shape[1] - 1) // 2
    log_probs = gradient[:, n_actions + 1 :]
    logits = gradient[:, :n_actions] + log_probs
    logits[:, :LIKELY] -= log_probs.sum(1, keepdims=True) * probabilities
    rest = np.abs(logits[:, LIKELY:]).max(initial=0)
    return np.column_stack([logits[:, :LIKELY], gradient[:, n_actions]]), rest


def right_rows(expected, k, half):
    """Returns {term: row} of the k-th batch; half is the factor of the value loss, 1 or 1/2."""
    rows = {name: expected[f"a2c/{k}/{name}"].astype(np.float64) for name in TERMS}
    return {**rows, "value_loss": half * rows["value_loss"]}


def same_row(row, right):
    """Tells whether two losses are equal, in value and gradient."""
    return _near(row[0], right[0]) and close(row[1:], right[1:])


def _near(value, right):
    return bool(abs(value - right) <= CLOSE * max(1, abs(right)))


def signed(coefficients):
    """Returns the factors of the three terms in the loss."""
    return np.array([1.0, coefficients["value_loss_coef"], -coefficients["entropy_coef"]])


def fit(row, rows):
    """Returns the factors of some rows whose sum is nearest to a row, and if it is equal to it."""
    columns = np.stack(rows, axis=1)
    factors = np.linalg.lstsq(columns, row, rcond=None)[0]
    return factors, close(columns @ factors, row)


def _row_of(seen, name, probabilities):
    """Returns the row of a loss, and what is wrong with its form."""
    value = seen[name]
    if value.size != 1 or not np.isfinite(value).all():
        told = (
            _(
                "{loss} returns numbers of the shape {shape}: return one number, a tensor with "
                "its graph"
            )
            if value.size > 1
            else _("{loss} returns no number: return one number, a tensor with its graph")
        )
        return None, told.format(loss=name, shape=list(value.shape))
    gradient, rest = effective(seen[f"gradient/{name}"], probabilities)
    return np.append(value, gradient), rest


def judge_terms(seen, expected, n_actions, settings):
    """Returns what is wrong with a term, or None; and the factor of the value loss, 1 or 1/2."""
    half, rights = 1.0, right_rows(expected, 0, 1.0)
    for name in TERMS:
        row, rest = _row_of(seen, name, expected["a2c/0/probabilities"])
        if row is None:
            return rest, half
        allowed = (1.0, 0.5) if name == "value_loss" else (1.0,)
        fits = [factor for factor in allowed if same_row(row, factor * rights[name])]
        if fits and rest <= CLOSE * np.abs(row[1:]).max():
            half = fits[0] if name == "value_loss" else half
            continue
        return f"{name}: {_name(name, row, rights, expected, n_actions, settings)}", half
    return None, half


def _name(name, row, rights, expected, n_actions, settings):
    """Names the mistake that explains a term wholly, or says what differs."""
    right = rights[name]
    if not row[1:].any():
        return _name_cut(row, right)
    wrong = {"": right, **_mistakes(name, expected, n_actions)}
    for mistake, other in wrong.items():
        if mistake and same_row(row, other):
            return _(mistake)
    for mistake, other in wrong.items():
        (factor,), equal = fit(row, [other])
        if equal and abs(factor) > 1e-6:
            times = _name_factor(name, factor, len(right) // (LIKELY + 1), n_actions, settings)
            both = _("{mistake}; and {another}")
            return both.format(mistake=_(mistake), another=times) if mistake else times
    factors, equal = fit(row, list(rights.values()))
    if equal:
        told = _("it is {sum}, expected {term} alone: loss puts the terms together")
        return told.format(sum=sum_of(factors), term=name)
    return _difference(row, right)


def _name_cut(row, right):
    """Says that a term has no gradient, and whether its value is right."""
    if _near(row[0], right[0]):
        return _(
            "its value is right, but no gradient comes back from it: part of it is detached, under "
            "no_grad, or a plain number"
        )
    return _(
        "it is {got:.4g}, but no gradient comes back from it: part of it is detached, under "
        "no_grad, or a plain number"
    ).format(got=row[0])


def _mistakes(name, expected, n_actions):
    """Returns {what is wrong: row} of a term; some depend on the number of actions."""
    prefix = f"a2c/mistake/{name}/"
    found = {key[len(prefix) :]: x for key, x in expected.items() if key.startswith(prefix)}
    return {key: x if x.ndim == 1 else x[n_actions - LIKELY] for key, x in found.items()}


def _name_factor(name, factor, rows, n_actions, settings):
    """Says what a factor before a term means."""
    c, beta = settings["value_loss_coef"], settings["entropy_coef"]
    known = {
        -1: _("it has the wrong sign: {why}"),
        rows: _("it is summed over the batch: take the mean over the N = {rows} rows"),
        -rows: _("it is summed over the batch, with the wrong sign: {why}"),
        1 / n_actions: _(
            "the mean is taken over the actions too: sum over them, mean over the rows"
        ),
        c: _("value_loss_coef is in it already: it belongs into loss alone"),
        beta: _("entropy_coef is in it already: it belongs into loss alone"),
        1 / np.log(2): _("the logarithm has the base 2, expected the natural one"),
    }
    for value, message in known.items():
        if abs(factor / value - 1) < CLOSE:
            return message.format(why=_(SIGNS[name]), rows=rows)
    told = _("it is {factor:.4g} times what it should be (rows: {rows}, actions: {actions})")
    return told.format(factor=factor, rows=rows, actions=n_actions)


def sum_of(factors):
    """Writes a sum of the three terms out."""
    parts = [f"{x:.3g} · {name}" for x, name in zip(factors, TERMS, strict=True) if abs(x) > CLOSE]
    return " + ".join(parts)


def _difference(row, right):
    """Says where a loss differs from the right one."""
    if close(row[1:], right[1:]):
        told = _("it is {got:.4g}, expected {right:.4g}, though its gradient is right")
        return told.format(got=row[0], right=right[0])
    got, expected = row[1:].reshape(-1, LIKELY + 1), right[1:].reshape(-1, LIKELY + 1)
    at, column = np.unravel_index(np.abs(got - expected).argmax(), got.shape)
    told = (
        _(
            "it is {got:.4g}, expected {right:.4g}; its gradient in row {row} with respect to the "
            "values is {slope:.4g}, expected {right_slope:.4g}"
        )
        if column == LIKELY
        else _(
            "it is {got:.4g}, expected {right:.4g}; its gradient in row {row} with respect to the "
            "logits of action {action} is {slope:.4g}, expected {right_slope:.4g}"
        )
    )
    slopes = {"slope": got[at, column], "right_slope": expected[at, column]}
    return told.format(got=row[0], right=right[0], row=at, action=column, **slopes)


def judge_loss(seen, expected, rights, coefficients):
    """Returns what is wrong with `loss`, or None.

    Args:
        seen: Two readings of the loss: with the settings, and with coefficients set apart.
        rights: {term: row} of the batch.
        coefficients: {"value_loss_coef", "entropy_coef": number} of each reading.
    """
    factors = {}
    for k, (one, made) in enumerate(zip(seen, coefficients, strict=True)):
        row, rest = _row_of(one, "loss", expected["a2c/0/probabilities"])
        if row is None:
            return rest
        right = signed(made) @ np.stack(list(rights.values()))
        if same_row(row, right):
            continue
        got, equal = fit(row, list(rights.values()))
        if not equal:
            return name_changed(one) or f"loss: {_name_lost(row, right, rights)}"
        factors[k] = got, signed(made)
    if not factors:
        return None
    mistake = f"loss: {_name_coefficients([*factors.values()])}"
    return mistake if 0 in factors else only_apart(mistake)


def only_apart(mistake):
    """Says that a mistake shows only where coefficients are changed."""
    if mistake is None:
        return None
    return _(
        "{mistake}. All is right with your settings, and wrong with others: in place of numbers "
        "write self.value_loss_coef, self.entropy_coef and self.max_grad_norm"
    ).format(mistake=mistake)


def name_changed(seen, how="changed"):
    """Says which loss changes the trajectory, so that what comes after it reads other numbers."""
    for name in (*TERMS, "loss"):
        for key in map(str, seen.get(f"{how}/{name}", ())):
            told = _("the {key} of the trajectory are overwritten or changed: work on a copy")
            return f"{name}: {told.format(key=key)}"
    return None


def _name_lost(row, right, rights):
    """Names the term whose gradient is lost in the loss, or says what differs."""
    if not row[1:].any():
        return _(
            "no gradient comes back from it: add the terms as tensors, without item() or detach()"
        )
    factors, equal = fit(row[1:], [row[1:] for row in rights.values()])
    if equal and np.isclose(factors, 0, atol=1e-4).any():
        lost = TERMS[int(np.abs(factors).argmin())]
        told = _("no gradient comes back from {term}: add it as a tensor, not as a number")
        return told.format(term=lost)
    return _difference(row, right)


def _name_coefficients(factors):
    """Says which of the factors of the three terms is wrong, and in which way.

    Args:
        factors: Pairs of what was got and what was wanted; a name must fit all of them.
    """
    if all(np.allclose(got[1:], [-wanted[2], -wanted[1]], 1e-2) for got, wanted in factors):
        return _("value_loss_coef and entropy_coef are exchanged")
    got, wanted = factors[0]
    at = int((np.abs(got - wanted) > 0.02 * np.abs(wanted) + 1e-4).argmax())
    name, coefficient = TERMS[at], ("1", "value_loss_coef", "entropy_coef")[at]
    sign = (
        _("{term} has the wrong sign: it is a bonus, subtracted from the loss")
        if name == "entropy"
        else _("{term} has the wrong sign")
    )
    known = {
        _("{term} is left out"): lambda right: 0.0,
        sign: lambda right: -right,
        _("{coefficient} is ignored: {term} counts as it is"): np.sign,
        _("{coefficient} is squared: multiply with it once"): lambda right: right * abs(right),
    }
    for message, wrong in known.items():
        if all(_is_factor(one[at], wrong(other[at])) for one, other in factors):
            return message.format(term=name, coefficient=coefficient)
    told = _("{term} counts {got:.4g} times, expected {wanted:.4g}")
    return told.format(term=name, got=got[at], wanted=wanted[at])


def _is_factor(got, wrong):
    return abs(got - wrong) < 0.02 * abs(wrong) + 1e-4
