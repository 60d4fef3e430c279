// Checks what is given for the template's parameters as CloudFormation would, but at synth. Every error is one line that
// names the parameter as the template does.

import { createHash } from "node:crypto";
import { Token } from "aws-cdk-lib";
import type { Json, JsonObject } from "./template";

/** One value for each parameter, as Ref gives it: text, or a list of texts. */
export type Values = Map<string, string | string[]>;

/** What a caller may give. Undefined takes the default. */
export type Given = string | number | boolean | string[] | undefined;

/** The construct's property for what the template calls `name`. */
export const property = (name: string) => name.charAt(0).toLowerCase() + name.slice(1);

/** The value of every parameter `declared`, from those `given` by property name or by the template's. */
export function parameterValues(declared: JsonObject, given: Record<string, Given>): Values {
  const names = Object.keys(declared);
  for (const key of Object.keys(given)) {
    if (!names.some((name) => key === name || key === property(name))) {
      throw new Error(`Petrel: unknown parameter ${key}; there are ${names.join(", ")}`);
    }
  }
  const valueGiven = (name: string) => given[property(name)] ?? given[name];
  return new Map(names.map((name) => [name, valueOf(name, declared[name] as JsonObject, valueGiven(name))]));
}

/** `declared` with `value` as the default, and a name for it that no other value has. */
export function withDefault(name: string, declared: JsonObject, value: string | string[]): [string, JsonObject] {
  const text = Array.isArray(value) ? value.join(",") : value;
  // cdk deploy prefers the value that a parameter had in the deployment before over its default (--previous-parameters).
  // Under a name that goes with the value, there is none before but the same.
  const id = `${name}${createHash("sha256").update(text).digest("hex").slice(0, 8)}`;
  return [id, { ...declared, Default: declared["Type"] === "Number" ? Number(text) : text }];
}

function valueOf(name: string, declared: JsonObject, given: Given): string | string[] {
  const type = String(declared["Type"]);
  const isList = type === "CommaDelimitedList" || type.startsWith("List<");
  // A value would stand in the synthesised template for all to read, or would be the name of one.
  if (declared["NoEcho"] || type.startsWith("AWS::SSM::Parameter::")) {
    throw new Error(`Petrel: ${name} is ${declared["NoEcho"] ? "secret" : `of type ${type}`}, which the CDK app cannot give`);
  }
  const value = given ?? (declared["Default"] as Given);
  if (value === undefined) throw new Error(`Petrel: ${name} is missing. ${String(declared["Description"] ?? "")}`.trim());
  if (!["string", "number", "boolean"].includes(typeof value) && !(isList && Array.isArray(value))) {
    throw new Error(`Petrel: ${name} must be ${isList ? "a list of texts" : "text, a number or a boolean"}`);
  }
  // What only the deployment knows, CloudFormation has to check.
  if (Token.isUnresolved(value)) return Array.isArray(value) ? value : isList ? [String(value)] : Token.asString(value);
  const text = Array.isArray(value) ? value.join(",") : String(value);
  const items = isList ? text.split(",").map((item) => item.trim()) : [text];
  for (const item of items) check(name, declared, item);
  return isList ? items : text;
}

function check(name: string, declared: JsonObject, value: string) {
  const fail = (rule: string) => {
    throw new Error(`Petrel: ${name} ${rule}, not ${JSON.stringify(value)}`);
  };
  const bound = (key: string) => (declared[key] === undefined ? undefined : Number(declared[key]));
  const [least, most] = [bound("MinValue") ?? -Infinity, bound("MaxValue") ?? Infinity];
  const [shortest, longest] = [bound("MinLength") ?? 0, bound("MaxLength") ?? Infinity];

  if (["Number", "List<Number>"].includes(String(declared["Type"]))) {
    if (!/^[-+]?\d+(\.\d+)?$/.test(value)) fail("must be a number");
    if (Number(value) < least) fail(`must be at least ${least}`);
    if (Number(value) > most) fail(`must be at most ${most}`);
  }
  const allowed = (declared["AllowedValues"] as Json[] | undefined)?.map(String);
  if (allowed && !allowed.includes(value)) fail(`must be one of ${allowed.join(", ")}`);
  if (value.length < shortest) fail(`must have at least ${shortest} character${shortest === 1 ? "" : "s"}`);
  if (value.length > longest) fail(`must have at most ${longest} character${longest === 1 ? "" : "s"}`);
  // CloudFormation lets no pattern match only a part.
  const pattern = declared["AllowedPattern"];
  if (pattern !== undefined && !new RegExp(`^(?:${String(pattern)})$`).test(value)) fail(`must match ${String(pattern)}`);
}
