"""Figures as Prometheus reads them."""

from services.chassis.metrics import Histogram, Metrics


def test_a_histogram_counts_what_stayed_within_each_bound() -> None:
    histogram = Histogram((1, 2.5))
    for value in (0.5, 1, 2, 9):
        histogram.observe(value)
    assert list(histogram.samples('route="/x"')) == [
        ('_bucket{route="/x",le="1"}', 2),
        ('_bucket{route="/x",le="2.5"}', 3),
        ('_bucket{route="/x",le="+Inf"}', 4),
        ('_sum{route="/x"}', 12.5),
        ('_count{route="/x"}', 4),
    ]


def test_every_figure_says_what_it_is_once() -> None:
    metrics = Metrics()
    metrics.requests["POST", "/users", 201] += 2
    metrics.requests["GET", "/users", 200] += 1
    lines = metrics.text(waiting=3).splitlines()
    assert "parallel_insert_waiting 3" in lines
    assert [line for line in lines if "requests_total" in line] == [
        "# HELP parallel_insert_requests_total Requests that were answered.",
        "# TYPE parallel_insert_requests_total counter",
        'parallel_insert_requests_total{method="GET",route="/users",status="200"} 1',
        'parallel_insert_requests_total{method="POST",route="/users",status="201"} 2',
    ]
