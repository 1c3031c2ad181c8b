"""Losses in float64, from the formulas: value per sample and gradient of each sample's own loss."""

from __future__ import annotations

import numpy as np


def softplus(u):
    return np.logaddexp(0.0, u)


def logistic(u):
    return np.exp(-np.logaddexp(0.0, -u))


def softmax_cross_entropy(z, labels):
    """Through the other classes' share, so that small losses stay precise."""
    z = np.asarray(z, np.float64)
    at = np.arange(len(z)), labels
    u = z - z[at][:, None]
    others = u.copy()
    others[at] = -np.inf
    others = np.logaddexp.reduce(others, axis=1)
    loss = softplus(others)
    grad = np.exp(u - loss[:, None])
    grad[at] = -logistic(others)
    return loss, grad


def distillation(z, labels, teacher, alpha, temperature):
    """(1 - alpha) CE + alpha T^2 KL(teacher || z), both softened by T."""
    z, t = np.asarray(z, np.float64), np.asarray(teacher, np.float64)
    hard, grad = softmax_cross_entropy(z, labels)
    u, v = z / temperature, t / temperature
    log_q = u - np.logaddexp.reduce(u, axis=1, keepdims=True)
    log_p = v - np.logaddexp.reduce(v, axis=1, keepdims=True)
    kl = (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
    loss = (1 - alpha) * hard + alpha * temperature**2 * kl
    soft = alpha * temperature * (np.exp(log_q) - np.exp(log_p))
    return loss, (1 - alpha) * grad + soft


def sigmoid_cross_entropy(z, labels):
    z = np.asarray(z, np.float64)
    hot = np.zeros_like(z)
    hot[np.arange(len(z)), labels] = 1
    flipped = np.where(hot == 1, -z, z)
    return softplus(flipped).sum(axis=1), np.where(hot == 1, -1, 1) * logistic(flipped)


def values(kind, y, t, a=0.0):
    """The loss of every element."""
    y, t = np.asarray(y, np.float64), np.asarray(t, np.float64)
    if kind in ("binary_ce", "categorical_ce"):
        p = np.clip(y, 1e-7, 1 - 1e-7)
        first = -t * np.log(p)
        return first if kind == "categorical_ce" else first - (1 - t) * np.log(1 - p)
    d = y - t
    return {
        "squared": lambda: d**2 / 2,
        "binary_ce_logits": lambda: softplus(y) - t * y,
        "logistic": lambda: softplus(-t * y),
        "exponential": lambda: np.exp(-t * y),
        "hinge": lambda: np.maximum(1 - t * y, 0),
        "quantile": lambda: (1 - a) * np.maximum(d, 0) + a * np.maximum(-d, 0),
        "huber": lambda: np.where(np.abs(d) <= a, d**2, 2 * a * (np.abs(d) - a / 2)),
        "eps_insensitive": lambda: np.maximum(np.abs(d) - a, 0),
    }[kind]()


def slopes(kind, y, t, a=0.0):
    """Its derivative in y; 0 at a kink and where a probability is clipped."""
    y, t = np.asarray(y, np.float64), np.asarray(t, np.float64)
    d = y - t
    inside = (y > 1e-7) & (y < 1 - 1e-7)
    p = np.clip(y, 1e-7, 1 - 1e-7)
    return {
        "squared": lambda: d,
        "binary_ce": lambda: inside * ((1 - t) / (1 - p) - t / p),
        "binary_ce_logits": lambda: logistic(y) - t,
        "categorical_ce": lambda: inside * -t / p,
        "logistic": lambda: -t * logistic(-t * y),
        "exponential": lambda: -t * np.exp(-t * y),
        "hinge": lambda: np.where(1 - t * y > 0, -t, 0),
        "quantile": lambda: (1 - a) * (d > 0) - a * (d < 0),
        "huber": lambda: np.where(np.abs(d) <= a, 2 * d, 2 * a * np.sign(d)),
        "eps_insensitive": lambda: np.sign(d) * (np.abs(d) > a),
    }[kind]()
