"""Validates scenarios against the schema with another implementation: schema.json FILE… ; 77 where it is missing."""

import json
import sys

try:
    import tomllib

    import jsonschema
except ImportError as error:
    print(f"a package is missing: {error.name}", file=sys.stderr)
    sys.exit(77)

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
faults = 0
for path in sys.argv[2:]:
    with open(path, "rb") as file:
        scenario = tomllib.load(file)
    for error in validator.iter_errors(scenario):
        faults += 1
        print(f"{path}: {error.json_path}: {error.message}")
sys.exit(1 if faults else 0)
