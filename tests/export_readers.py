"""Reads what squall writes for CI as its consumers do: KIND=FILE… ; 77 where a package is missing.

Kinds: junit, bencher, benchmark-action (against tests/schema), openmetrics (parsed), yaml (the YAML blocks of a page).
"""

import json
import pathlib
import re
import sys

SCHEMAS = pathlib.Path(__file__).parent / "schema"


def junit(path):
    from lxml import etree

    etree.XMLSchema(etree.parse(SCHEMAS / "junit.xsd")).assertValid(etree.parse(path))
    root = etree.parse(path).getroot()
    for element in [root, *root]:
        counts = [("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")]
        for attribute, tag in counts:
            stated, found = element.get(attribute), len(list(element.iter(tag)))
            assert stated is None or int(stated) == found, f"{element.get('name')}: {attribute} {stated}, {found}"


def against(schema, path):
    import jsonschema

    schema = json.loads((SCHEMAS / f"{schema}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(pathlib.Path(path).read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)


def bencher(path):
    against("bencher", path)


def benchmark_action(path):
    against("benchmark-action", path)


def openmetrics(path):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    families = list(text_string_to_metric_families(pathlib.Path(path).read_text("utf-8")))
    assert families and all(family.samples for family in families)


def yaml(path):
    import yaml as reader

    blocks = re.findall(r"```yaml\n(.*?)```", pathlib.Path(path).read_text("utf-8"), re.S)
    assert blocks, "no YAML"
    for block in blocks:
        assert isinstance(reader.safe_load(block), dict), block


READERS = {f.__name__.replace("_", "-"): f for f in (junit, bencher, benchmark_action, openmetrics, yaml)}

missing = 0
for argument in sys.argv[1:]:
    kind, path = argument.split("=", 1)
    try:
        READERS[kind](path)
    except ImportError as error:
        print(f"a package is missing: {error.name}", file=sys.stderr)
        missing = 77
    except Exception as error:
        sys.exit(f"{path} as {kind}: {type(error).__name__}: {error}")
sys.exit(missing)
