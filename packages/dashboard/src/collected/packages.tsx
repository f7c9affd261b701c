/** What of a host's packages could be renewed, and the declared ones that are not as declared. */
import { packagesHeading } from "@muster/view/collected";
import { State } from "../parts/state.tsx";
import { Table } from "../parts/table.tsx";
import { type OfHost, Section } from "./section.tsx";

const SHOWN = 50;

export function Packages(of: OfHost) {
  return (
    <Section {...of} kind="packages" title="packages" heading={packagesHeading}>
      {({ updates, declared, pending }) => {
        const wrong = declared.filter(({ ok }) => !ok);
        return (
          <>
            {declared.length === 0 ? null : (
              <p>
                {declared.length - wrong.length} of {declared.length} declared packages as declared
              </p>
            )}
            {wrong.length === 0 ? null : (
              <Table
                label="package"
                titles={["package", "wanted", "installed"]}
                rows={wrong}
                keyOf={({ name }) => name}
                cells={({ name, wanted, version, broken }) => [
                  <State key="name" tint="red" word={name} />,
                  wanted,
                  broken ?? version ?? "not installed",
                ]}
              />
            )}
            {updates.length === 0 ? null : (
              <details>
                <summary>what could be renewed</summary>
                <Table
                  label="update"
                  titles={["package", "installed", "offered", ""]}
                  rows={updates.slice(0, SHOWN)}
                  keyOf={({ name }) => name}
                  cells={({ name, installed, offered, security }) => [
                    name,
                    installed ?? "new",
                    offered,
                    security ? <State key="security" tint="amber" word="security" /> : "",
                  ]}
                />
                {(pending ?? 0) > SHOWN ? <p class="quiet">and {(pending ?? 0) - SHOWN} more</p> : null}
              </details>
            )}
          </>
        );
      }}
    </Section>
  );
}
