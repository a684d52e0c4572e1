"""Routes out of a gateway's configuration: path and target, and nothing else of a file that may hold secrets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent_sre.evidence.bundle import tidy
from agent_sre.evidence.kubernetes import trim
from agent_sre.evidence.routes import routes_of

SPRING = """
spring:
  datasource:
    password: hunter2
  cloud:
    gateway:
      routes:
        - id: stock
          uri: lb://${STOCK_HOST:stock}
          predicates:
            - Path=/api/stock/**
        - id: till
          uri: http://till.market.svc:9000
          predicates:
            - Path=/api/till/**
"""
NGINX = "server { location /api/stock/ { proxy_set_header X-Key hunter2; proxy_pass http://stock:8080/; } }"


def test_spring_and_nginx_say_which_path_goes_where() -> None:
    assert routes_of({"application.yml": SPRING}) == [
        {"path": "/api/stock", "to": "stock"},
        {"path": "/api/till", "to": "till.market.svc", "port": "9000"},
    ]
    assert routes_of({"default.conf": NGINX}) == [{"path": "/api/stock", "to": "stock", "port": "8080"}]


def test_only_routes_leave_a_config_map_live_and_recorded() -> None:
    manifest = {"kind": "ConfigMap", "metadata": {"name": "door"}, "data": {"application.yml": SPRING, "default.conf": NGINX}}
    for kept in (trim.trimmed(manifest), tidy.trimmed(manifest)):
        assert kept["data"] == {"application.yml": None, "default.conf": None}
        assert {route["to"] for route in kept["routes"]} == {"stock", "till.market.svc"}
        assert "hunter2" not in str(kept)


@given(st.one_of(st.none(), st.integers(), st.dictionaries(st.text(), st.one_of(st.text(), st.none(), st.integers()))))
def test_any_data_gives_routes_and_no_exception(data: object) -> None:
    assert isinstance(routes_of(data), list)
