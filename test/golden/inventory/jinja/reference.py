#!/usr/bin/env python3
"""Records what Ansible's template module makes of each *.j2 here, as *.out. Needs jinja2 (3.1.6 was used); tests do not run it."""
import json, pathlib, re, sys
import jinja2

here = pathlib.Path(__file__).parent
env = jinja2.Environment(loader=jinja2.FileSystemLoader(here), undefined=jinja2.StrictUndefined, trim_blocks=True,
                         finalize=lambda value: "" if value is None else value)
# Ansible's own filters and tests, written after its documentation.
env.filters.update(
    to_json=lambda v: json.dumps(v), ternary=lambda v, a, b: a if v else b,
    regex_replace=lambda v, pattern, to="": re.sub(pattern, to, v),
    difference=lambda a, b: [x for x in a if x not in b],
    dict2items=lambda v: [{"key": k, "value": x} for k, x in v.items()])
env.tests.update(search=lambda v, pattern: re.search(pattern, v) is not None)
variables = json.loads((here / "vars.json").read_text())

for path in sorted(here.glob("*.j2")):
    source = path.read_text()
    text = env.get_template(path.name).render(**variables)
    wanted, has = len(source) - len(source.rstrip("\n")), len(text) - len(text.rstrip("\n"))
    path.with_suffix(".out").write_text(text + "\n" * max(0, wanted - has))
    print(path.stem, file=sys.stderr)
