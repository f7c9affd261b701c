/** User data for a machine that is made by a provider: it installs the package and joins at its first boot. Pure. Form: cloudinit.readthedocs.io. */
import { FleetError } from "@muster/protocol/errors";
import { timeText } from "../output/words.ts";

/** @param url from where the machine fetches the package; https only, since nothing else proves it */
export function checkedUrl(url: string | undefined): string {
  const parsed = url !== undefined && URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== "https:" || parsed.username !== "" || /['"\\\s]/.test(parsed.href)) {
    throw new FleetError(
      "USAGE",
      "--cloud-init needs --package https://…/muster-agent.deb: from where the machine fetches it",
    );
  }
  return parsed.href;
}

export function cloudInit(what: {
  readonly fleet: string;
  readonly name: string;
  readonly join: string;
  readonly url: string;
  readonly not_after: number;
}): string {
  const { fleet, name, join, url, not_after } = what;
  const script = [
    "set -e",
    "cd /root",
    `curl -fsSLo muster-agent.deb '${url}' || wget -qO muster-agent.deb '${url}'`,
    "DEBIAN_FRONTEND=noninteractive apt-get -y -q install ./muster-agent.deb",
    "rm muster-agent.deb",
  ];
  return `#cloud-config
# ${name} of ${fleet}: joins at its first boot, once, until ${timeText(not_after)}. Whoever has this text before can join as ${name}: keep it as a secret.
write_files:
  - path: /etc/muster/join
    permissions: "0600"
    content: |
      ${join}
runcmd:
  - |
${script.map((line) => `    ${line}`).join("\n")}
`;
}
