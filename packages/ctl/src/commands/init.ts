/** `ctl init`: makes a fleet, and run again finishes or checks it: on this server, or (`--out`) as files for brokers and controllers elsewhere. */
import { defineCommand } from "../program/command.ts";

export const init = defineCommand({
  name: "init",
  args: "<fleet>",
  options: {
    address: {
      flag: "--address <address>",
      help: "where servers and people reach the broker: a name, IPv4 or IPv6, all that there are",
      many: true,
    },
    admin: { flag: "--admin <name>", help: "you; asked for without it" },
    name: { flag: "--name <host>", help: "this server's name in the fleet (default: its own)" },
    unseal: {
      flag: "--unseal <how>",
      help: "auto: Vault opens itself at boot with a key on this server (default); manual: it waits for ctl unseal",
    },
    vault: {
      flag: "--vault <url>",
      help: "your Vault as all reach it, https://HOST:PORT; may be repeated. Without it one is made here",
      many: true,
    },
    vault_ca: { flag: "--vault-ca <file>", help: "the CA of its TLS certificate, PEM" },
    vault_token_file: {
      flag: "--vault-token-file <file>",
      help: "a token that may make mounts, roles and policies",
    },
    password_file: {
      flag: "--password-file <file>",
      help: "where your new password is; asked for without it",
    },
    kit_file: { flag: "--kit-file <file>", help: "where the recovery kit goes (default: ~/<fleet>.kit)" },
    out: {
      flag: "--out <directory>",
      help: "install nothing here: write the files for broker and controller there; needs --vault",
    },
    controller_cidr: {
      flag: "--controller-cidr <cidr>",
      help: "the controller's log-in works from there only; may be repeated",
      many: true,
    },
    audit_file: {
      flag: "--audit-file <file>",
      help: "where Vault writes its audit log, on its own machine",
    },
  },
  example: `ctl init as64500 --address core1.as64500.example --address 198.51.100.1
ctl init …                                        the same line again: checks everything, makes what is missing
ctl init as64500 --address … --vault https://vault.example:8200 --vault-ca ca.pem --vault-token-file token`,
  async run(context, input) {
    if (input.options.out === undefined) {
      const { initServer } = await import("../server/init.ts");
      return initServer(context, input.args[0] ?? "", input.options);
    }
    const { initFiles } = await import("../fleet/init-files.ts");
    return initFiles(context, input.args[0] ?? "", input.options.out, input.options);
  },
});
