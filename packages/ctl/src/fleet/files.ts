/** The files that `ctl init` writes for the broker, the controller and the people, as texts by their path below `--out`. Pure. */
import { isIP } from "node:net";
import { parseServer } from "@muster/ports/bus-subjects";
import { writeFleetString } from "@muster/protocol/join";
import { brokerConfig } from "./broker-config.ts";
import type { MadeFleet } from "./state.ts";

/** Where an installed controller has its configuration. */
export const CONTROLLER_DIRECTORY = "/etc/muster/controller";

/** Where Prometheus on the controller's own server finds the fleet's metrics. */
const METRICS = "127.0.0.1:9464";

/** Where a controller serves the page. */
const PAGE_PORT = 8443;

/** Addresses of the page, and of the brokers that it speaks to: these take browsers at the port after their own. */
function dashboardOf(addresses: readonly string[]): { addresses: string[]; brokers: string[] } {
  const servers = addresses.map(parseServer).map(({ host, port }) => ({
    host: host.includes(":") ? `[${host}]` : host,
    port,
  }));
  return {
    addresses: [...new Set(servers.map(({ host }) => `https://${host}:${PAGE_PORT}`))],
    brokers: servers.map(({ host, port }) => `wss://${host}:${port + 1}`),
  };
}

/** The names among them: Vault signs those for the page, and no IP addresses. */
export function pageNames(addresses: readonly string[]): string[] {
  const hosts = addresses.map((address) => parseServer(address).host.toLowerCase());
  return [...new Set(hosts.filter((host) => isIP(host) === 0))];
}

type Login = { readonly role_id: string; readonly secret_id: string };

export function fleetFiles(
  state: MadeFleet,
  made: {
    /** null: the ones on disk stay. */
    readonly certificate: { readonly chain_pem: string; readonly key_pem: string } | null;
    /** Where the controller finds the broker. */
    readonly brokers: readonly string[];
    readonly vault: { readonly addresses: readonly string[]; readonly ca_pem: string };
    readonly controller: Login;
    /** null where no backup can be made here: Vault is somebody else's, or on another machine. */
    readonly backup: Login | null;
  },
): Record<string, string> {
  const { accounts } = state;
  const names = { [accounts.system]: "SYS", [accounts.fleet]: "FLEET", [accounts.enrol]: "ENROL" };
  const port = Number(/:(\d+)$/.exec(state.addresses[0] ?? "")?.[1] ?? 4222);
  const dashboard = dashboardOf(state.addresses);
  const controller = {
    fleet: state.fleet,
    brokers: made.brokers,
    broker_ca: `${CONTROLLER_DIRECTORY}/broker-ca.pem`,
    anchor: state.anchor,
    account: accounts.fleet,
    ...(made.backup === null ? {} : { backup_report: "/var/lib/muster/backup.json" }),
    metrics: { listen: METRICS },
    dashboard: { listen: `[::]:${PAGE_PORT}`, ...dashboard },
    vault: {
      addresses: made.vault.addresses,
      ca: `${CONTROLLER_DIRECTORY}/vault-ca.pem`,
      role_id: `${CONTROLLER_DIRECTORY}/role_id`,
      secret_id: `${CONTROLLER_DIRECTORY}/secret_id`,
    },
  };
  return {
    "nats/nats-server.conf": brokerConfig({
      fleet: state.fleet,
      port,
      websocket: { port: port + 1, origins: dashboard.addresses },
      operator_jwt: state.operator_jwt,
      system_account: accounts.system,
      sentinel_jwt: state.sentinel_jwt,
      accounts: Object.entries(state.account_jwts).map(([key, jwt]) => ({
        name: names[key] ?? "",
        key,
        jwt,
      })),
    }),
    ...(made.certificate !== null && {
      "nats/tls.crt": made.certificate.chain_pem,
      "nats/tls.key": made.certificate.key_pem,
    }),
    "controller/config.json": `${JSON.stringify(controller, undefined, 2)}\n`,
    "controller/broker-ca.pem": state.broker_ca,
    "controller/vault-ca.pem": made.vault.ca_pem,
    "controller/role_id": `${made.controller.role_id}\n`,
    "controller/secret_id": `${made.controller.secret_id}\n`,
    ...(made.backup !== null && {
      "backup/role_id": `${made.backup.role_id}\n`,
      "backup/secret_id": `${made.backup.secret_id}\n`,
    }),
    "fleet-string": `${fleetString(state)}\n`,
  };
}

/** `core1.example:4222,…#7F3K-…`, without the usual port: for machines that wait for approval, and for people. */
export function fleetString(state: {
  readonly addresses: readonly string[];
  readonly anchor: string;
}): string {
  // A profile may know an address with the usual port and without it.
  const addresses = [...new Set(state.addresses.map((address) => address.replace(/:4222$/, "")))];
  return writeFleetString({ addresses, anchor: state.anchor });
}

/** The line with which a person logs in for the first time, as a shell takes it: IPv6 addresses have brackets, which some shells expand. */
export function loginLine(person: string, state: Pick<MadeFleet, "addresses" | "anchor">): string {
  const target = `${person}@${fleetString(state)}`;
  return `ctl login ${target.includes("[") ? `'${target}'` : target}`;
}
