"""Fit the edge's latency model to published round trips: ``python tools/fit_path_factor.py``.

Round trip = base + factor x 2 x cable distance / 200 km per ms. The figures are IBM Cloud's monthly averages between
its regions (IBM Cloud documentation, VPC, "Network latency", 28 Sep to 27 Oct 2024). The fit minimises the absolute
error, so that one odd cable route does not bend it; prints the two constants and the error that remains.
"""

from itertools import combinations

from repartee_edge.geo import FIBRE_KM_PER_MS, Point, cable_km

CITIES = {
    "Dallas": Point(32.78, -96.80),
    "Toronto": Point(43.65, -79.38),
    "Washington DC": Point(38.90, -77.04),
    "Frankfurt": Point(50.11, 8.68),
    "London": Point(51.51, -0.13),
    "Madrid": Point(40.42, -3.70),
    "Osaka": Point(34.69, 135.50),
    "Sydney": Point(-33.87, 151.21),
    "Tokyo": Point(35.68, 139.69),
    "Sao Paulo": Point(-23.55, -46.63),
}
# One row per city, in the order above: milliseconds to each city after it.
ROUND_TRIPS_MS = (
    (34, 31, 123, 113, 119, 150, 185, 141, 144),
    (19, 93, 84, 108, 169, 214, 162, 131),
    (90, 76, 89, 175, 213, 169, 119),
    (13, 29, 232, 250, 231, 197),
    (27, 244, 261, 242, 188),
    (259, 275, 255, 207),
    (122, 9, 292),
    (115, 328),
    (283,),
)


def main() -> None:
    figures = [ms for row in ROUND_TRIPS_MS for ms in row]
    straight = [2 * cable_km(CITIES[a], CITIES[b]) / FIBRE_KM_PER_MS for a, b in combinations(CITIES, 2)]
    candidates = ((factor / 100, base / 2) for factor in range(100, 251) for base in range(0, 41))

    def error(model: tuple[float, float]) -> float:
        return sum(abs(model[1] + model[0] * d - ms) for d, ms in zip(straight, figures, strict=True))

    factor, base = min(candidates, key=error)
    errors = sorted(abs(base + factor * d - ms) for d, ms in zip(straight, figures, strict=True))
    print(f"PATH_FACTOR = {factor:.2f}   PATH_BASE_MS = {base:.1f}")
    print(
        f"error over {len(errors)} pairs: median {errors[len(errors) // 2]:.0f} ms, worst {errors[-1]:.0f} ms"
    )


if __name__ == "__main__":
    main()
