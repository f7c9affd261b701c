/**
 * What the tests run on this machine itself, beside the lab's own tools: a real BIRD, FRR and GoBGP, Docker, an image registry, Prometheus and its Alertmanager, a browser, ssh, sshd, openssl, the shells that
 * ctl completes in, and the library that gives one process another time. What is missing is installed in one go. A daemon that
 * came with it is stopped at once: this machine did not ask for one.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { must, which } from "./command.mjs";
import { installPackages } from "./packages.mjs";

const SYSTEM = ["/usr/sbin", "/usr/local/sbin", "/usr/lib/frr"];
/** Program → Debian package. */
const PACKAGES = {
  bird: "bird2",
  bgpd: "frr",
  gobgpd: "gobgpd",
  ip: "iproute2",
  ping: "iputils-ping",
  "ssh-keygen": "openssh-client",
  sshd: "openssh-server",
  openssl: "openssl",
  faketime: "faketime",
  dockerd: "docker.io",
  busybox: "busybox-static",
  zsh: "zsh",
  fish: "fish",
  groff: "groff-base",
  "dpkg-deb": "dpkg",
  "docker-registry": "docker-registry",
  prometheus: "prometheus",
  "prometheus-alertmanager": "prometheus-alertmanager",
  "dbus-daemon": "dbus",
  chromium: "chromium",
};
/** Modules of a program, which are no programs: below /usr/lib/<machine> → Debian package. */
const MODULES = { "frr/modules/bgpd_rpki.so": "frr-rpki-rtrlib" };
/** Services that come with them. */
const SERVICES = {
  bird: "bird.service",
  bgpd: "frr.service",
  gobgpd: "gobgpd.service",
  "docker-registry": "docker-registry.service",
  prometheus: "prometheus.service",
  "prometheus-alertmanager": "prometheus-alertmanager.service",
  sshd: "ssh.service",
};

/**
 * Makes sure that they are there. Errors: SetupError that names what to install.
 * @param {import("./progress.mjs").Progress} progress
 */
export async function ensurePrograms(progress) {
  const missing = [
    ...Object.entries(PACKAGES).filter(([program]) => which(program, SYSTEM) === undefined),
    ...Object.entries(MODULES).filter(([file]) => !isBelowLibraries(file)),
  ];
  if (missing.length === 0) return;
  await installPackages(
    missing.map(([, name]) => name),
    "real programs that the tests run",
    progress,
  );
  if (!existsSync("/run/systemd/system")) return;
  for (const [program, service] of Object.entries(SERVICES))
    if (missing.some(([name]) => name === program)) await must("systemctl", ["disable", "--now", service]);
}

/** @param {string} file */
const isBelowLibraries = (file) =>
  readdirSync("/usr/lib").some((machine) => existsSync(join("/usr/lib", machine, file)));
