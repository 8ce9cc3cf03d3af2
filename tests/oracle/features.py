"""Features of NumPy, NumExpr, Dask array and xarray, each as the expression that users write there and the statement that does it here.

features_test.py evaluates the one, runs the other, and compares; it also writes the table into query/README.md (--write). A row is
(expression, statement[, options]). The statement's last column, in its order, is the expression's value in row-major order; a tuple
stands for the last columns. NULL and EMPTY are NaN there."""
import datetime

import numpy as np
import xarray as xr

rng = np.random.default_rng(20201121)
a = np.round(rng.normal(0, 3, (6, 7)), 2)
b = np.round(rng.normal(1, 2, (6, 7)), 2)
b[2, 3] = a[2, 3]
p = np.round(rng.uniform(0.05, 0.95, (6, 7)), 3)  # inside (0, 1)
k = rng.integers(-20, 20, (6, 7))
l = rng.integers(1, 6, (6, 7))
nan = a.copy()
nan[[0, 2, 2, 5], [1, 3, 4, 6]] = np.nan
x = np.round(rng.normal(0, 5, 12), 2)
y = np.round(2 * x + rng.normal(0, 1, 12), 2)
idx = rng.integers(0, 12, 8)
c3 = np.round(rng.normal(10, 4, (4, 5, 6)), 1)
days = np.datetime64("2020-01-01") + np.arange(731)
t = np.round(10 - 8 * np.cos(2 * np.pi * np.arange(731) / 365.25) + rng.normal(0, 1, 731), 2)
lat = np.arange(-60.0, 61.0, 30.0)
grid = np.round(rng.normal(15, 5, (24, 5, 4)), 2)
months = np.array(["2020-01", "2020-02", "2020-03"], "M8[M]")[0] + np.arange(24)
words = np.array(["delta", "alpha", "Charlie", "bravo", "alpha"])

da = xr.DataArray(a, dims=["i", "j"], coords={"i": np.arange(6), "j": np.arange(7)})
dn = xr.DataArray(nan, dims=["i", "j"], coords={"i": np.arange(6), "j": np.arange(7)})
dx = xr.DataArray(x, dims=["i"], coords={"i": np.arange(12)})
dt = xr.DataArray(t, dims=["day"], coords={"day": days.astype("M8[ns]")})
dg = xr.DataArray(grid, dims=["time", "lat", "lon"],
                  coords={"time": months.astype("M8[ns]"), "lat": lat, "lon": np.arange(4) * 90.0})
NAMES = dict(np=np, xr=xr, a=a, b=b, p=p, k=k, l=l, nan=nan, x=x, y=y, idx=idx, c3=c3, days=days, t=t, lat=lat, grid=grid, words=words,
             da=da, dn=dn, dx=dx, dt=dt, dg=dg, sliding=np.lib.stride_tricks.sliding_window_view)

# Arrays that the statements name: dimensions, attribute, values.
ARRAYS = [("a", "i INTEGER DIMENSION [0 : 5], j INTEGER DIMENSION [0 : 6], v DOUBLE", a), ("b", "i INTEGER DIMENSION [0 : 5], j INTEGER DIMENSION [0 : 6], w DOUBLE", b),
          ("p", "i INTEGER DIMENSION [0 : 5], j INTEGER DIMENSION [0 : 6], v DOUBLE", p), ("k", "i INTEGER DIMENSION [0 : 5], j INTEGER DIMENSION [0 : 6], n INTEGER", k),
          ("l", "i INTEGER DIMENSION [0 : 5], j INTEGER DIMENSION [0 : 6], m INTEGER", l), ("nan", "i INTEGER DIMENSION [0 : 5], j INTEGER DIMENSION [0 : 6], v DOUBLE", nan),
          ("x", "i INTEGER DIMENSION [0 : 11], v DOUBLE", x), ("y", "i INTEGER DIMENSION [0 : 11], w DOUBLE", y), ("idx", "q INTEGER DIMENSION [0 : 7], at INTEGER", idx),
          ("c3", "d INTEGER DIMENSION [0 : 3], e INTEGER DIMENSION [0 : 4], f INTEGER DIMENSION [0 : 5], v DOUBLE", c3),
          ("t", "day DATE DIMENSION ['2020-01-01' : '2021-12-31'], v DOUBLE", t),
          ("field", "time DATE DIMENSION ['2020-01-01' : '2021-12-01' : INTERVAL '1 month'], lat DOUBLE DIMENSION [-60 : 60 : 30], lon DOUBLE DIMENSION [0 : 270 : 90], v DOUBLE", grid),
          ("words", "i INTEGER DIMENSION [0 : 4], s TEXT", words)]

IJ = "SELECT [i], [j], {} AS v FROM a"
AB = "SELECT [i], [j], {} AS v FROM a NATURAL JOIN b"
KL = "SELECT [i], [j], {} AS v FROM k NATURAL JOIN l"


def unary(names, array="a", domain="p"):
    return [(f"np.{n}({domain})", f"SELECT [i], [j], {s}(v) FROM {domain}") for n, s in names]


UFUNCS = [
    *unary([(n, n) for n in ("absolute", "fabs", "sign", "floor", "ceil", "trunc", "rint", "fix", "square", "negative", "positive", "exp", "exp2", "expm1", "sin", "cos", "tan", "sinh",
                             "cosh", "tanh", "arcsinh", "arctan", "cbrt", "reciprocal", "degrees", "rad2deg", "radians", "deg2rad", "isnan", "isinf", "isfinite", "signbit", "spacing",
                             "sinc", "i0", "nan_to_num")], domain="a"),
    ("np.around(a, 1)", IJ.format("round(v, 1)")),
    *unary([("sqrt", "sqrt"), ("log", "ln"), ("log2", "log2"), ("log10", "log10"), ("log1p", "log1p"), ("arcsin", "asin"), ("arccos", "acos"), ("arctanh", "atanh")]),
    ("np.arccosh(p + 1)", "SELECT [i], [j], acosh(v + 1) FROM p"),
    *[(f"np.{n}(a, b)", AB.format(s)) for n, s in (
        ("add", "v + w"), ("subtract", "v - w"), ("multiply", "v * w"), ("divide", "v / w"), ("true_divide", "v / w"), ("floor_divide", "v // w"), ("remainder", "v % w"), ("mod", "v % w"),
        ("fmod", "fmod(v, w)"), ("arctan2", "atan2(v, w)"), ("hypot", "hypot(v, w)"), ("logaddexp", "logaddexp(v, w)"), ("logaddexp2", "logaddexp2(v, w)"), ("maximum", "maximum(v, w)"),
        ("minimum", "minimum(v, w)"), ("fmax", "fmax(v, w)"), ("fmin", "fmin(v, w)"), ("copysign", "copysign(v, w)"), ("nextafter", "nextafter(v, w)"), ("heaviside", "heaviside(v, w)"),
        ("equal", "v = w"), ("not_equal", "v <> w"), ("less", "v < w"), ("less_equal", "v <= w"), ("greater", "v > w"), ("greater_equal", "v >= w"), ("isclose", "isclose(v, w)"),
        ("logical_and", "v <> 0 AND w <> 0"), ("logical_or", "v <> 0 OR w <> 0"), ("logical_xor", "logical_xor(v <> 0, w <> 0)"))],
    ("np.logical_not(a > 0)", IJ.format("NOT v > 0")), ("np.power(p, b)", "SELECT [i], [j], v ^ w FROM p NATURAL JOIN b"), ("np.float_power(p, 2)", "SELECT [i], [j], float_power(v, 2) FROM p"),
    ("np.divmod(a, 2)", "SELECT [i], [j], v // 2, v % 2 FROM a"), ("np.modf(a)", "SELECT [i], [j], v - trunc(v), trunc(v) FROM a"), ("np.ldexp(a, l)", "SELECT [i], [j], ldexp(v, m) FROM a NATURAL JOIN l"),
    *[(f"np.{n}(k, l)", KL.format(s)) for n, s in (("gcd", "gcd(n, m)"), ("lcm", "lcm(n, m)"), ("bitwise_and", "n & m"), ("bitwise_or", "n | m"), ("bitwise_xor", "n # m"), ("left_shift", "n << m"),
                                                  ("right_shift", "n >> m"), ("floor_divide", "n // m"), ("remainder", "n % m"))],
    ("np.invert(k)", "SELECT [i], [j], ~n FROM k"), ("np.clip(a, -1, 2)", IJ.format("clip(v, -1, 2)")), ("np.where(a > b, a, 0)", AB.format("CASE WHEN v > w THEN v ELSE 0 END")),
    ("np.select([a < -1, a < 1], [0, 1], 2)", IJ.format("CASE WHEN v < -1 THEN 0 WHEN v < 1 THEN 1 ELSE 2 END")), ("np.choose(l - 1, [a, b, a + b, a - b, a * b])",
     "SELECT [i], [j], CASE m WHEN 1 THEN v WHEN 2 THEN w WHEN 3 THEN v + w WHEN 4 THEN v - w ELSE v * w END FROM a NATURAL JOIN b NATURAL JOIN l"),
    ("np.isin(k, [1, 2, 3, 5, 8, 13])", "SELECT [i], [j], n IN (1, 2, 3, 5, 8, 13) FROM k"), ("a.astype('f4')", IJ.format("v::real::double")), ("a.astype('i4')", IJ.format("trunc(v)::integer")),
    ("np.interp(x, [-5, 0, 5], [1, 0, 2])", "SELECT [i], interp(v, -5, 1, 0, 0, 5, 2) FROM x"), ("np.digitize(x, [-5, 0, 5])", "SELECT [i], digitize(v, -5, 0, 5) FROM x"),
    ("np.polyval([2, 0, -1], x)", "SELECT [i], (2 * v + 0) * v - 1 FROM x"), ("np.heaviside(x, 0.5)", "SELECT [i], heaviside(v, 0.5) FROM x"),
    ("np.strings.upper(words) == 'ALPHA'", "SELECT [i], upper(s) = 'ALPHA' FROM words"), ("np.char.str_len(words)", "SELECT [i], length(s) FROM words"),
]

NUMEXPR = [
    ("2*a + 3*b", AB.format("2 * v + 3 * w")), ("np.sin(a)**2 + np.cos(b)**2", AB.format("sin(v) ^ 2 + cos(w) ^ 2")), ("np.where(a < b, a, b)", AB.format("CASE WHEN v < w THEN v ELSE w END")),
    ("np.sqrt(a**2 + b**2)", AB.format("sqrt(v ^ 2 + w ^ 2)")), ("(a > 0) & (b < 1)", AB.format("v > 0 AND w < 1")), ("np.sum(a*b)", "SELECT sum(v * w) FROM a NATURAL JOIN b"),
    ("np.prod(p, axis=1)", "SELECT [i], prod(v) FROM p GROUP BY i"), ("np.min(a, axis=0)", "SELECT [j], min(v) FROM a GROUP BY j"), ("np.max(a, axis=0)", "SELECT [j], max(v) FROM a GROUP BY j"),
    ("a % 2 == 0", IJ.format("v % 2 = 0")), ("np.arctan2(a, b) / np.pi", AB.format("atan2(v, w) / pi()")), ("np.char.find(words, 'a') >= 0", "SELECT [i], s LIKE '%a%' FROM words"),
]

REDUCTIONS = [
    *[(f"np.{n}(a)", f"SELECT {s} FROM a") for n, s in (
        ("sum", "sum(v)"), ("mean", "avg(v)"), ("min", "min(v)"), ("max", "max(v)"), ("std", "stddev_pop(v)"), ("var", "var_pop(v)"), ("median", "median(v)"), ("ptp", "max(v) - min(v)"),
        ("prod", "prod(v)"), ("size", "count(*)"))],
    *[(f"np.{n}(a, axis=0)", f"SELECT [j], {s} FROM a GROUP BY j") for n, s in (("sum", "sum(v)"), ("mean", "avg(v)"), ("std", "stddev_pop(v)"), ("median", "median(v)"), ("argmin", "argmin(v, i)"), ("argmax", "argmax(v, i)"))],
    ("np.sum(c3, axis=(0, 2))", "SELECT [e], sum(v) FROM c3 GROUP BY e"), ("np.std(a, ddof=1)", "SELECT stddev(v) FROM a"), ("np.var(a, axis=1, ddof=1)", "SELECT [i], variance(v) FROM a GROUP BY i"),
    ("np.argmax(x)", "SELECT argmax(v, i) FROM x"), ("np.argmin(x)", "SELECT argmin(v, i) FROM x"), ("np.any(a > 8)", "SELECT bool_or(v > 8) FROM a"), ("np.all(a > -20)", "SELECT bool_and(v > -20) FROM a"),
    ("np.count_nonzero(a > 0)", "SELECT count(*) FILTER (WHERE v > 0) FROM a"), ("np.average(a, weights=p)", "SELECT avg(a.v, p.v) FROM a JOIN p USING (i, j)"),
    *[(f"np.{n}(nan)", f"SELECT {s}(v) FROM nan") for n, s in (("nansum", "nansum"), ("nanmean", "nanmean"), ("nanmin", "nanmin"), ("nanmax", "nanmax"))],
    ("np.nanmedian(nan)", "SELECT median(v) FROM nan WHERE NOT isnan(v)"), ("np.nanstd(nan)", "SELECT stddev_pop(v) FROM nan WHERE NOT isnan(v)"), ("np.nanargmax(nan, axis=1)", "SELECT [i], argmax(v, j) FROM nan WHERE NOT isnan(v) GROUP BY i"),
    ("np.quantile(a, 0.3)", "SELECT quantile(v, 0.3) FROM a"), ("np.percentile(a, [5, 50, 95])", "SELECT quantile(v, 0.05), quantile(v, 0.5), quantile(v, 0.95) FROM a", {"flat": True}),
    ("np.quantile(a, 0.9, axis=0)", "SELECT [j], quantile(v, 0.9) FROM a GROUP BY j"),
    ("np.corrcoef(x, y)[0, 1]", "SELECT corr(v, w) FROM x NATURAL JOIN y"), ("np.cov(x, y)[0, 1]", "SELECT covar_samp(v, w) FROM x NATURAL JOIN y"), ("np.polyfit(x, y, 1)", "SELECT regr_slope(w, v), regr_intercept(w, v) FROM x NATURAL JOIN y", {"flat": True}),
    ("np.histogram(a, 8, (-8, 8))[0]", "SELECT histogram(v, -8, 8, 8) FROM a", {"array": True}), ("np.bincount(l.ravel())[1:]", "SELECT m, count(*) FROM l GROUP BY m ORDER BY m"),
    ("np.bincount(l.ravel(), weights=a.ravel())[1:]", "SELECT m, sum(v) FROM l NATURAL JOIN a GROUP BY m ORDER BY m"), ("np.histogram(a, [-9, -2, 0, 2, 9])[0]", "SELECT digitize(v, -9, -2, 0, 2, 9) AS bin, count(*) FROM a GROUP BY bin ORDER BY bin"),
    ("np.unique(l)", "SELECT DISTINCT m FROM l ORDER BY m"), ("np.unique(l, return_counts=True)", "SELECT m, count(*) FROM l GROUP BY m ORDER BY m"), ("np.unique(words)", "SELECT DISTINCT s FROM words ORDER BY s"),
    ("np.sort(x)", "SELECT v FROM x ORDER BY v"), ("np.argsort(x)", "SELECT i FROM x ORDER BY v"), ("np.sort(a, axis=0)", "SELECT [rank], [j], v FROM (SELECT [j], [row_number() OVER (PARTITION BY j ORDER BY v) AS rank], v FROM a) AS s ORDER BY rank, j"),
    ("np.sort(x)[::-1][:3]", "SELECT v FROM x ORDER BY v DESC LIMIT 3"), ("np.cumsum(x)", "SELECT [i], sum(v) OVER [* : i] FROM x"), ("np.cumprod(p, axis=1)", "SELECT [i], [j], prod(v) OVER [* : j] FROM p"),
    ("np.cumsum(a, axis=0)", IJ.format("sum(v) OVER [* : i]")), ("np.nancumsum(nan, axis=1)", "SELECT [i], [j], coalesce(sum(v) FILTER (WHERE NOT isnan(v)) OVER [* : j], 0) FROM nan"),
    ("np.maximum.accumulate(a, axis=1)", IJ.format("max(v) OVER [* : j]")), ("np.minimum.accumulate(x)", "SELECT [i], min(v) OVER [* : i] FROM x"), ("np.add.reduceat(x, [0, 4, 8])", "SELECT [i], sum(v) FROM x GROUP BY BLOCK [i => 4]"),
    ("np.diff(x)", "SELECT [i], v FROM diff(x, i)"), ("np.diff(a, axis=0)", "SELECT [i], [j], v - v[#i - 1] AS d FROM a WHERE i > 0"), ("np.diff(x, n=2)", "SELECT [i], v FROM diff(x, i, 2)"), ("np.ediff1d(x)", "SELECT [i], v FROM diff(x, i)"),
    ("np.gradient(x)[1:-1]", "SELECT [i], (v[#i + 1] - v[#i - 1]) / 2 AS g FROM x WHERE i BETWEEN 1 AND 10"), ("np.trapezoid(x)", "SELECT sum((v + v[#i - 1]) / 2) FROM x"), ("np.trapezoid(y, x)", "SELECT sum((w + w[#i - 1]) / 2 * (v - v[#i - 1])) FROM x NATURAL JOIN y"),
    ("np.linalg.norm(a)", "SELECT sqrt(sum(v * v)) FROM a"), ("np.dot(x, y)", "SELECT sum(v * w) FROM x NATURAL JOIN y"), ("np.trace(a)", "SELECT sum(v) FROM a WHERE i = j"),
    ("np.convolve(x, [1, 2, 1], 'valid')", "SELECT [i], v[#i - 1] + 2 * v + v[#i + 1] AS c FROM x WHERE i BETWEEN 1 AND 10"), ("a - a.mean(axis=0)", "SELECT [i], [j], v - m AS d FROM a NATURAL JOIN (SELECT [j], avg(v) AS m FROM a GROUP BY j) AS s"),
    ("(a - a.mean()) / a.std()", "SELECT [i], [j], (v - m) / s AS z FROM a CROSS JOIN (SELECT avg(v) AS m, stddev_pop(v) AS s FROM a) AS q"), ("np.count_nonzero(np.isnan(nan), axis=0)", "SELECT [j], count(*) FILTER (WHERE isnan(v)) FROM nan GROUP BY j"),
    ("np.array([np.argwhere(a > 3)[:, 0], np.argwhere(a > 3)[:, 1]])", "SELECT i, j FROM a WHERE v > 3", {"columns": True}), ("np.flatnonzero(x > 0)", "SELECT i FROM x WHERE v > 0"), ("np.searchsorted(np.sort(x), 1.0)", "SELECT count(*) FILTER (WHERE v < 1.0) FROM x"),
    ("np.fft.fft(x).real", "SELECT [i], re FROM fft(x, i)"), ("np.abs(np.fft.fft(a, axis=1))", "SELECT [i], [j], hypot(re, im) FROM fft(a, j)"), ("np.fft.ifft(x).imag", "SELECT [i], im FROM ifft(x, i)"),
]

SHAPES = [
    ("np.zeros((3, 4))", "SELECT [i], [j], 0.0 AS v FROM GRID [i => 0 : 2, j => 0 : 3]"), ("np.full((2, 2), 7.5)", "SELECT [i], [j], 7.5 AS v FROM GRID [i => 0 : 1, j => 0 : 1]"), ("np.arange(2, 20, 3)", "SELECT generate_series FROM generate_series(2, 19, 3)"),
    ("np.linspace(0, 1, 5)", "SELECT [i], i / 4 AS v FROM GRID [i => 0 : 4]"), ("np.logspace(0, 2, 5)", "SELECT [i], 10 ^ (i / 2) AS v FROM GRID [i => 0 : 4]"), ("np.eye(4)", "SELECT [i], [j], (i = j)::integer AS v FROM GRID [i => 0 : 3, j => 0 : 3]"),
    ("np.indices((3, 4))[0]", "SELECT [i], [j], i AS v FROM GRID [i => 0 : 2, j => 0 : 3]"), ("np.fromfunction(lambda i, j: i * 10 + j, (3, 4))", "SELECT [i], [j], i * 10 + j AS v FROM GRID [i => 0 : 2, j => 0 : 3]"), ("np.tri(4)", "SELECT [i], [j], (j <= i)::integer AS v FROM GRID [i => 0 : 3, j => 0 : 3]"),
    ("np.diag(x)[:3, :3]", "SELECT [i], [j], CASE WHEN i = j THEN v ELSE 0 END AS v FROM x[i => 0 : 2] CROSS JOIN GRID [j => 0 : 2]"), ("np.outer(x, y)", "SELECT [x.i], [y.i AS j], v * w AS v FROM x CROSS JOIN y"), ("np.vander(x, 3)", "SELECT [i], [e], v ^ (2 - e) AS v FROM x CROSS JOIN GRID [e => 0 : 2]"),
    ("a.T", "SELECT [j], [i], v FROM a"), ("np.transpose(a)", "SELECT [j], [i], v FROM transpose(a)"), ("np.moveaxis(c3, 0, 2)", "SELECT [e], [f], [d], v FROM c3"), ("np.swapaxes(c3, 0, 1)", "SELECT [e], [d], [f], v FROM c3"),
    ("a.reshape(7, 6)", "SELECT [r], [s], v FROM reshape(a, [r => 0 : 6, s => 0 : 5])"), ("a.ravel()", "SELECT v FROM a"), ("c3.reshape(20, 6)", "SELECT [r], [f], v FROM reshape(c3, [r => 0 : 19, f => 0 : 5])"),
    ("np.concatenate([x, y])", "SELECT [i], v FROM concat(x, (SELECT [i + 12 AS i], w AS v FROM y), i)"), ("np.stack([x, y])", "SELECT [s], [i], CASE s WHEN 0 THEN v ELSE w END AS v FROM GRID [s => 0 : 1] CROSS JOIN x NATURAL JOIN y"), ("np.hstack([a, b])[0]", "SELECT v FROM a WHERE i = 0 UNION ALL SELECT w FROM b WHERE i = 0"),
    ("np.roll(x, 3)", "SELECT [i], v FROM roll(x, i, 3)"), ("np.roll(a, -1, axis=1)", "SELECT [i], [j], v FROM roll(a, j, -1)"), ("np.flip(x)", "SELECT [i], v[#i => 11 - i] AS v FROM x"), ("np.flipud(a)", "SELECT [5 - i AS i], [j], v FROM a"), ("np.rot90(a)", "SELECT [6 - j AS r], [i AS s], v FROM a"),
    ("np.repeat(x, 2)", "SELECT [i * 2 + r AS i], v FROM x CROSS JOIN GRID [r => 0 : 1]"), ("np.tile(x, 2)", "SELECT [i + 12 * r AS i], v FROM x CROSS JOIN GRID [r => 0 : 1]"), ("np.pad(x, 2)", "SELECT [i], coalesce(v, 0) AS v FROM GRID [i => -2 : 13] LEFT JOIN x USING (i)"),
    ("np.pad(x, 1, mode='wrap')", "SELECT [i], x.v[i => g.i % 12] AS v FROM GRID [i => -1 : 12] AS g LEFT JOIN x USING (i)"), ("np.broadcast_to(x, (3, 12))", "SELECT [r], [i], v FROM GRID [r => 0 : 2] CROSS JOIN x"), ("a + x[:7]", "SELECT [i], [j], a.v + s.v AS v FROM a NATURAL JOIN (SELECT [i AS j], v FROM x[i => 0 : 6]) AS s"),
    ("np.squeeze(a[2:3])", "SELECT * FROM a[2]"), ("np.triu(a)", IJ.format("CASE WHEN j >= i THEN v ELSE 0 END")), ("np.tril(a)", IJ.format("CASE WHEN j <= i THEN v ELSE 0 END")), ("np.diagonal(a)", "SELECT [i], v FROM a WHERE i = j"),
    ("np.append(x, [1.5])", "SELECT v FROM x UNION ALL SELECT 1.5"), ("np.delete(x, 3)", "SELECT v FROM x WHERE i <> 3"), ("np.insert(x, 3, 9)", "SELECT v FROM (SELECT i + (i >= 3)::integer AS i, v FROM x UNION ALL VALUES (3, 9.0)) AS q (i, v) ORDER BY i"), ("np.array_split(x, 3)[1]", "SELECT * FROM x[i => 4 : 7]"),
    ("np.meshgrid([1, 2, 3], [4, 5])", "SELECT [j], [i], i + 1, j + 4 FROM GRID [i => 0 : 2, j => 0 : 1]"), ("np.kron([1, 2], x)", "SELECT [r * 12 + i AS i], (r + 1) * v AS v FROM GRID [r => 0 : 1] CROSS JOIN x"), ("np.where(np.arange(12) % 2 == 0, x, y)", "SELECT [i], CASE WHEN i % 2 = 0 THEN v ELSE w END FROM x NATURAL JOIN y"),
    ("np.nan_to_num(nan)", "SELECT [i], [j], CASE WHEN isnan(v) THEN 0 ELSE v END FROM nan"),
]

INDEXING = [
    ("a[2]", "SELECT * FROM a[2]"), ("a[2, 3]", "SELECT v FROM a[2, 3]"), ("a[1:4]", "SELECT * FROM a[1 : 3]"), ("a[1:4, 2:]", "SELECT * FROM a[1 : 3, 2 : *]"), ("a[:, 0]", "SELECT * FROM a[*, 0]"), ("a[::2]", "SELECT * FROM a[* : * : 2]"), ("a[1::2, ::3]", "SELECT * FROM a[1 : * : 2, * : * : 3]"),
    ("a[-1]", "SELECT * FROM a[#i => -1]"), ("a[:, -2]", "SELECT * FROM a[#j => -2]"), ("a[::-1]", "SELECT v FROM a ORDER BY i DESC, j"), ("x[[0, 2, 5]]", "SELECT v FROM x WHERE i IN (0, 2, 5)"), ("x[idx]", "SELECT [q], v FROM idx JOIN x ON x.i = at"), ("x[x > 0]", "SELECT v FROM x WHERE v > 0"),
    ("a[a > 2]", "SELECT v FROM a WHERE v > 2"), ("a[np.ix_([0, 2], [1, 3])]", "SELECT [i], [j], v FROM a WHERE i IN (0, 2) AND j IN (1, 3)"), ("np.take(x, [3, 1])", "SELECT v FROM (VALUES (0, 3), (1, 1)) AS q (n, at) JOIN x ON i = at ORDER BY n"), ("a[np.arange(6), l[:, 0]]", "SELECT [i], v[j => m] AS v FROM a JOIN l[*, 0] USING (i) WHERE j = 0"),
    ("np.take_along_axis(a, l, 1)", "SELECT [i], [j], v[j => m] AS v FROM a NATURAL JOIN l"), ("np.compress([1, 0, 1, 0, 0, 1], a, axis=0)", "SELECT [i], [j], v FROM a WHERE i IN (0, 2, 5)"), ("np.extract(a < -2, a)", "SELECT v FROM a WHERE v < -2"), ("c3[..., 2]", "SELECT * FROM c3[f => 2]"), ("c3[1, :, 2:4]", "SELECT * FROM c3[1, *, 2 : 3]"),
    ("da.sel(i=slice(1, 3)).values", "SELECT * FROM a[i => 1 : 3]"), ("da.isel(j=[0, 2]).values", "SELECT v FROM a WHERE #j IN (0, 2)"), ("dg.sel(lat=25, method='nearest').values", "SELECT * FROM field[lat => NEAREST 25]"), ("dg.sel(time='2020-05').values", "SELECT [lat], [lon], v FROM field WHERE date_trunc('month', time) = '2020-05-01'"),
    ("dg.sel(lat=slice(-30, 30), lon=90).values", "SELECT * FROM field[lat => -30 : 30, lon => 90]"), ("da.where(da > 0).values", "SELECT [i], [j], CASE WHEN v > 0 THEN v END FROM a"), ("dt.sel(day=slice('2020-02-27', '2020-03-02')).values", "SELECT * FROM t['2020-02-27' : '2020-03-02']"), ("dt.sel(day='2021-03').values", "SELECT v FROM t WHERE day BETWEEN '2021-03-01' AND '2021-03-31'"),
    ("dx.isel(i=xr.DataArray(idx, dims='q')).values", "SELECT [q], v FROM idx JOIN x ON #i = at"), ("da.head(i=2).values", "SELECT * FROM a[#i => 0 : 1]"), ("da.tail(j=2).values", "SELECT * FROM a[#j => -2 : -1]"), ("da.thin(j=3).values", "SELECT * FROM a[j => * : * : 3]"),
]

XARRAY = [
    ("dx.rolling(i=3).mean().values", "SELECT [i], avg(v) OVER ([#i - 2 : #i] EDGE NULL) FROM x"), ("dx.rolling(i=3, center=True, min_periods=1).mean().values", "SELECT [i], avg(v) OVER [#i - 1 : #i + 1] FROM x"), ("dx.rolling(i=5, center=True).max().values", "SELECT [i], max(v) OVER ([#i - 2 : #i + 2] EDGE NULL) FROM x"),
    ("dx.rolling(i=4).reduce(np.std, ddof=1).values", "SELECT [i], stddev(v) OVER ([#i - 3 : #i] EDGE NULL) FROM x"), ("dx.rolling(i=5).median().values", "SELECT [i], median(v) OVER ([#i - 4 : #i] EDGE NULL) FROM x"),
    ("da.rolling(i=3, j=3, center=True, min_periods=1).sum().values", IJ.format("sum(v) OVER [#i - 1 : #i + 1, #j - 1 : #j + 1]")), ("da.rolling(i=3, j=3, center=True, min_periods=1).min().values", IJ.format("min(v) OVER [#i - 1 : #i + 1, #j - 1 : #j + 1]")),
    ("dn.rolling(j=3, min_periods=1).count().values", "SELECT [i], [j], count(v) FILTER (WHERE NOT isnan(v)) OVER [#j - 2 : #j] FROM nan"), ("dt.rolling(day=7).mean().values", "SELECT [day], avg(v) OVER ([#day - 6 : #day] EDGE NULL) FROM t"),
    ("da.coarsen(i=2).mean().values", "SELECT [i], [j], avg(v) FROM a GROUP BY BLOCK [i => 2], j"), ("da.coarsen(i=3, j=7).max().values", "SELECT [i], [j], max(v) FROM a GROUP BY BLOCK [i => 3, j => 7]"), ("da.coarsen(j=3, boundary='trim').sum().values", "SELECT [i], [j], sum(v) FROM a[j => 0 : 5] GROUP BY BLOCK [j => 3], i ORDER BY i, j"),
    ("dt.resample(day='MS').mean().values", "SELECT [date_trunc('month', day) AS month], avg(v) FROM t GROUP BY month"), ("dt.resample(day='MS').mean().values", "SELECT [day], avg(v) FROM t GROUP BY BLOCK [day => INTERVAL '1 month']"), ("dt.resample(day='10D').max().values", "SELECT [day], max(v) FROM t GROUP BY BLOCK [day => 10]"),
    ("dt.groupby('day.month').mean().values", "SELECT [extract(month FROM day) AS month], avg(v) FROM t GROUP BY month"), ("dt.groupby('day.dayofweek').mean().values", "SELECT extract(isodow FROM day) AS d, avg(v) FROM t GROUP BY d ORDER BY d"), ("dt.groupby('day.year').std().values", "SELECT extract(year FROM day) AS year, stddev_pop(v) FROM t GROUP BY year ORDER BY year"),
    ("(dg.groupby('time.month') - dg.groupby('time.month').mean()).values", "SELECT [time], [lat], [lon], v - m AS anomaly FROM (SELECT [*], v, extract(month FROM time) AS of FROM field) AS g JOIN (SELECT extract(month FROM time) AS of, lat, lon, avg(v) AS m FROM field GROUP BY of, lat, lon) AS c USING (of, lat, lon)"),
    ("dt.groupby('day.quarter').mean().values", "SELECT extract(quarter FROM day) AS q, avg(v) FROM t GROUP BY q ORDER BY q"),
    ("dx.groupby_bins(dx, [-20, -2, 2, 20]).count().values", "SELECT digitize(v, -20, -2, 2, 20) AS bin, count(*) FROM x GROUP BY bin ORDER BY bin"),
    ("dx.interp(i=[0.5, 1.25, 7.0]).values", "SELECT v FROM regrid(x, [i => 0 : 11 : 0.25], 'linear') WHERE i IN (0.5, 1.25, 7.0)"), ("dg.interp(lat=np.arange(-45, 46, 15)).values", "SELECT [time], [lat], [lon], v FROM regrid(field, [lat => -45 : 45 : 15], 'linear')"), ("dg.interp(lat=[-50, 10, 50], method='nearest').values", "SELECT [time], [lat], [lon], v FROM regrid(field, [lat => -50 : 50 : 10], 'nearest') WHERE lat IN (-50, 10, 50)"),
    ("dx.shift(i=2).values", "SELECT [i], v[#i - 2] AS v FROM x"), ("da.shift(j=-1).values", IJ.format("v[#j + 1]")), ("dx.diff('i').values", "SELECT [i], v FROM diff(x, i)"), ("(dt - dt.shift(day=365)).values", "SELECT [day], v - v[#day - 365] AS d FROM t"), ("dx.roll(i=2).values", "SELECT [i], v FROM roll(x, i, 2)"),
    ("dn.fillna(0).values", "SELECT [i], [j], CASE WHEN isnan(v) THEN 0 ELSE v END FROM nan"), ("dn.dropna('j').values", "SELECT [i], [j], v FROM nan NATURAL JOIN (SELECT [j] FROM nan GROUP BY j HAVING NOT bool_or(isnan(v))) AS good"), ("dn.ffill('j').values", "SELECT [i], [j], last(v, j) FILTER (WHERE NOT isnan(v)) OVER [* : j] FROM nan"), ("dn.bfill('j').values", "SELECT [i], [j], first(v, j) FILTER (WHERE NOT isnan(v)) OVER [j : *] FROM nan"),
    ("da.cumsum('i').values", IJ.format("sum(v) OVER [* : i]")), ("da.mean('j').values", "SELECT [i], avg(v) FROM a GROUP BY i"), ("da.weighted(xr.DataArray(p, dims=['i', 'j'])).mean().values", "SELECT avg(a.v, p.v) FROM a JOIN p USING (i, j)"), ("dg.weighted(np.cos(np.deg2rad(dg.lat))).mean(('lat', 'lon')).values", "SELECT [time], avg(v, cos(radians(lat))) FROM field GROUP BY time"),
    ("da.quantile(0.25, 'i').values", "SELECT [j], quantile(v, 0.25) FROM a GROUP BY j"), ("dx.rank('i').values", "SELECT [i], rank() OVER (ORDER BY v) FROM x"), ("da.idxmax('i').values", "SELECT [j], argmax(v, i) FROM a GROUP BY j"), ("dg.max('time').values", "SELECT [lat], [lon], max(v) FROM field GROUP BY lat, lon"),
    ("xr.corr(dx, xr.DataArray(y, dims='i')).values", "SELECT corr(v, w) FROM x NATURAL JOIN y"), ("xr.cov(dx, xr.DataArray(y, dims='i')).values", "SELECT covar_samp(v, w) FROM x NATURAL JOIN y"), ("xr.where(da > 0, da, -1).values", IJ.format("CASE WHEN v > 0 THEN v ELSE -1 END")),
    ("xr.align(dx, dx.isel(i=slice(3, 20)), join='inner')[0].values", "SELECT [i], x.v FROM x JOIN x[i => 3 : 11] AS o USING (i)"), ("dx.isel(i=slice(0, 8)).combine_first(dx * 2).values", "SELECT [i], coalesce(s.v, x.v * 2) AS v FROM x LEFT JOIN x[i => 0 : 7] AS s USING (i)"), ("dx.reindex(i=[-1, 0, 5, 12]).values", "SELECT g.i, x.v FROM (VALUES (-1), (0), (5), (12)) AS g (i) LEFT JOIN x ON g.i = x.i ORDER BY 1"),
    ("dx.differentiate('i').values[1:-1]", "SELECT [i], (v[#i + 1] - v[#i - 1]) / 2 AS g FROM x WHERE i BETWEEN 1 AND 10"), ("dx.integrate('i').values", "SELECT sum((v + v[#i - 1]) / 2) FROM x"), ("dg.transpose('lon', 'lat', 'time').values", "SELECT [lon], [lat], [time], v FROM field"), ("dg.isel(time=slice(0, 12)).mean('lon').values", "SELECT [time], [lat], avg(v) FROM field[#time => 0 : 11] GROUP BY time, lat"),
    ("dg.polyfit('lat', 1).polyfit_coefficients.sel(degree=1).values", "SELECT [time], [lon], regr_slope(v, lat) FROM field GROUP BY time, lon"), ("dt.argmax('day').values", "SELECT argmax(v, day) - DATE '2020-01-01' FROM t"), ("dt['day.dayofyear'].values", "SELECT [day], extract(doy FROM day) FROM t"), ("dx.sortby(dx).values", "SELECT v FROM x ORDER BY v"),
    ("da.stack(z=['i', 'j']).values", "SELECT v FROM a"), ("da.count('i').values", "SELECT [j], count(v) FROM a GROUP BY j"), ("dn.isnull().sum('j').values", "SELECT [i], count(*) FILTER (WHERE isnan(v)) FROM nan GROUP BY i"), ("da.clip(-1, 1).values", IJ.format("clip(v, -1, 1)")),
]

DASK = [
    ("np.where(a > 0, np.sqrt(np.abs(a)), 0)", IJ.format("CASE WHEN v > 0 THEN sqrt(abs(v)) ELSE 0 END"), {"as": "da.map_blocks(f, a): any expression of the cells"}), ("np.pad(a, 1, 'edge')[1:-1, 2:] - np.pad(a, 1, 'edge')[1:-1, :-2]", "SELECT [i], [j], coalesce(v[#j + 1], v) - coalesce(v[#j - 1], v) AS d FROM a", {"as": "da.map_overlap(f, a, depth=1, boundary='nearest'): cells around each cell"}),
    ("sliding(np.pad(a, 1, 'reflect'), (3, 3)).mean((2, 3))", IJ.format("avg(v) OVER ([#i - 1 : #i + 1, #j - 1 : #j + 1] EDGE REFLECT)"), {"as": "da.map_overlap(mean, a, depth=1, boundary='reflect')"}), ("sliding(np.pad(a, 1, 'wrap'), (3, 3)).max((2, 3))", IJ.format("max(v) OVER ([#i - 1 : #i + 1, #j - 1 : #j + 1] EDGE WRAP)"), {"as": "da.map_overlap(max, a, depth=1, boundary='periodic')"}),
    ("np.sort(x)[::-1][:4]", "SELECT v FROM x ORDER BY v DESC LIMIT 4", {"as": "da.topk(x, 4)"}), ("np.argsort(-x)[:4]", "SELECT i FROM x ORDER BY v DESC LIMIT 4", {"as": "da.argtopk(x, 4)"}), ("a.reshape(3, 2, 7).mean(1)", "SELECT [i], [j], avg(v) FROM a GROUP BY BLOCK [i => 2], j", {"as": "da.coarsen(np.mean, a, {0: 2})"}),
    ("np.histogram(x, 5, (-10, 10))[0]", "SELECT histogram(v, -10, 10, 5) FROM x", {"as": "da.histogram(x, 5, range=(-10, 10))", "array": True}), ("np.histogram2d(x, y, [[-15, 0, 15], [-30, 0, 30]])[0].ravel()", "SELECT count(*) FILTER (WHERE v IS NOT NULL) FROM (SELECT [v], [w] FROM GRID [v => 1 : 2, w => 1 : 2]) AS g (bv, bw) LEFT JOIN (SELECT digitize(v, -15, 0) AS cv, digitize(w, -30, 0) AS cw, v FROM x NATURAL JOIN y) AS q ON bv = cv AND bw = cw GROUP BY bv, bw ORDER BY bv, bw", {"as": "da.histogramdd((x, y), bins)"}),
    ("np.sum(a)", "SELECT sum(v) FROM a", {"as": "da.reduction(a, chunk, aggregate)"}), ("np.cumsum(a, axis=1)", IJ.format("sum(v) OVER [* : j]"), {"as": "da.cumsum(a, axis=1)"}), ("np.apply_along_axis(np.ptp, 0, a)", "SELECT [j], max(v) - min(v) FROM a GROUP BY j", {"as": "da.apply_along_axis(np.ptp, 0, a)"}), ("a[l > 2]", "SELECT v FROM a NATURAL JOIN l WHERE m > 2", {"as": "a[mask] of unknown length"}),
    ("x[idx]", "SELECT [q], v FROM idx JOIN x ON x.i = at", {"as": "x.vindex[idx]"}), ("a[1:3, 2:4]", "SELECT * FROM a[1 : 2, 2 : 3]", {"as": "a.blocks[…], a.partitions[…]: a slice, tiles are not seen"}),
]

RANDOM = [
    ("np.array([True])", "SELECT abs(avg(random(7)) - 0.5) < 0.01 AND min(random(7)) >= 0 AND max(random(7)) < 1 FROM GRID [i => 0 : 99, j => 0 : 999]", {"as": "rng.random((100, 1000))"}), ("np.array([True])", "SELECT abs(avg(random_normal(7))) < 0.02 AND abs(stddev(random_normal(7)) - 1) < 0.02 FROM GRID [i => 0 : 99999]", {"as": "rng.normal(size=100000)"}),
    ("np.array([True])", "SELECT min(floor(random(3) * 6)) = 0 AND max(floor(random(3) * 6)) = 5 FROM GRID [i => 0 : 9999]", {"as": "rng.integers(0, 6, 10000)"}), ("np.array([True])", "SELECT bool_and(a.r = b.r) FROM (SELECT [i], random(5) AS r FROM GRID [i => 0 : 999]) AS a JOIN (SELECT [i], random(5) AS r FROM GRID [i => 0 : 999]) AS b USING (i)", {"as": "np.random.default_rng(5), twice"}),
    ("np.array([True])", "SELECT abs(avg(-ln(1 - random(9))) - 1) < 0.02 FROM GRID [i => 0 : 99999]", {"as": "rng.exponential(size=100000)"}), ("np.array([12])", "SELECT count(*) FROM (SELECT v FROM x ORDER BY random(4)) AS s", {"as": "rng.permutation(x)"}),
]

PRODUCT = "SELECT [p.i], [q.i AS k], sum(p.v * q.v) AS v FROM a AS p JOIN a AS q ON p.j = q.j GROUP BY p.i, q.i"
MATRICES = [
    ("a @ a.T", "SELECT * FROM a @ transpose(a)"), ("np.matmul(a.T, a)", "SELECT * FROM transpose(a) @ a"), ("np.dot(a, a[2])", "SELECT * FROM a @ a[i => 2]"), ("a[0] @ a[1]", "SELECT * FROM a[i => 0] @ a[i => 1]"),
    ("np.inner(a, a)", PRODUCT), ("np.einsum('ij,kj->ik', a, 2 * a)", PRODUCT.replace("p.v * q.v", "p.v * 2 * q.v")), ("np.linalg.multi_dot([a, a.T, a])", "SELECT * FROM a @ transpose(a) @ a"),
    ("np.linalg.inv(a @ a.T)", "WITH s AS (SELECT * FROM a @ transpose(a)) SELECT * FROM inverse(s)"), ("np.linalg.solve(a @ a.T, a)", "SELECT * FROM solve((SELECT * FROM a @ transpose(a)), a)"),
    ("np.linalg.lstsq(a.T, a[0])[0]", "SELECT * FROM lstsq(transpose(a), a[i => 0])"), ("np.linalg.cholesky(a @ a.T)", "SELECT * FROM cholesky((SELECT * FROM a @ transpose(a)))"),
    ("np.linalg.svd(a)[1]", "WITH (u, s, vt) AS svd(a) SELECT * FROM s"), ("np.linalg.svd(a)[1][:2]", "WITH (u, s, vt) AS svd(a, 2) SELECT * FROM s"),
    ("np.abs(np.linalg.qr(a)[1])", "WITH (q, r) AS qr(a) SELECT [k], [j], abs(v) AS v FROM r"), ("np.linalg.eigh(a @ a.T)[0]", "WITH (w, z) AS eigh((SELECT * FROM a @ transpose(a))) SELECT * FROM w"),
    ("np.linalg.det(a @ a.T)", "SELECT * FROM det((SELECT * FROM a @ transpose(a)))"), ("np.trace(a @ a.T)", "SELECT * FROM trace((SELECT * FROM a @ transpose(a)))"), ("np.linalg.norm(a)", "SELECT * FROM norm(a)"),
    ("np.kron(a[:2, :2], a)", "SELECT * FROM kron(a[i => 0 : 1, j => 0 : 1], a)"), ("np.tensordot(a, a.T, 1)", "SELECT * FROM tensordot(a, transpose(a), 1)"),
]

SECTIONS = [("NumPy: universal functions", UFUNCS), ("NumExpr", NUMEXPR), ("NumPy: reductions, order, sums along axes", REDUCTIONS), ("NumPy: making, shaping, joining", SHAPES), ("Indexing", INDEXING), ("xarray", XARRAY), ("Dask array", DASK), ("Random numbers", RANDOM), ("Matrices", MATRICES)]

MISSING = [
    ("complex numbers (`np.conj`, `np.angle`, `np.real`)", "`fft` gives real and imaginary parts as two attributes"), ("`np.frexp`", "no mantissa and exponent"), ("`np.linalg.eig`, `eigvals` of matrices that are not symmetric, `matrix_power`", "no function"), ("`np.einsum` of more than two arrays", "one product at a time"),
    ("`np.unwrap`, `np.correlate` of long kernels, `np.bartlett` and other windows", "no statement"), ("`datetime64` in ns, `timedelta64` as an attribute", "timestamps are in µs, intervals are for expressions"), ("object arrays, masked arrays' hard masks, structured arrays in one attribute", "one attribute a field"),
    ("`np.float16`, `np.longdouble`", "no such types"), ("Python functions (`np.vectorize`, `da.map_blocks` of user code)", "expressions, macros (`CREATE FUNCTION`) and windows"), ("`xr.interpolate_na`, `xr.apply_ufunc`, `xr.Dataset.to_stacked_array`", "no statement"), ("`np.partition`", "`ORDER BY … LIMIT`"),
]
