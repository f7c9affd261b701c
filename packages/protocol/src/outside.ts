/** How others' servers are named in what an operator signs for the controllers: addresses, secrets that lie in Vault, roots of their certificates. */
import { z } from "zod";

/** A field of a secret in the part of Vault that controllers may read. */
export const AlertSecret = z
  .string()
  .regex(
    /^vault:kv\/alerts\/[a-z0-9][a-z0-9-]{0,62}#[A-Za-z0-9_-]{1,64}$/,
    "must be like vault:kv/alerts/smtp#password: controllers read no other secrets",
  )
  .describe("Where in Vault it is: vault:kv/alerts/NAME#FIELD.");

export const OutsideUrl = z
  .string()
  .max(2_000)
  .regex(/^https?:\/\/[^\s]+$/, "must begin with https:// or http://")
  .refine((text) => URL.canParse(text), "must be an address such as https://hook.example.net/path")
  // Many may read what an operator signs.
  .refine(
    (text) => !URL.canParse(text) || (new URL(text).username === "" && new URL(text).password === ""),
    "must be without user and password: put the whole address into Vault and write vault:kv/alerts/NAME#FIELD here",
  )
  .describe("Its address.");

/** An address that is a secret by itself, as those of many services are, may lie in Vault. */
export const UrlOrSecret = z
  .union([AlertSecret, OutsideUrl])
  .describe("Its address, or where in Vault that is.");

export const ServerCa = z
  .string()
  .max(16_384)
  .startsWith("-----BEGIN CERTIFICATE-----", "must be a certificate in PEM")
  .optional()
  .describe("The root of the server's certificate, PEM; default: those that the system trusts.");

/** Of a server that takes pushes: where it is, and how one logs in. */
export const PUSHED_TO = {
  token: AlertSecret.optional().describe("Goes along as `Authorization: Bearer`."),
  user: z.string().max(320).optional().describe("With `password`: goes along as basic authorization."),
  password: AlertSecret.optional().describe("Of `user`."),
  ca: ServerCa,
} as const;
