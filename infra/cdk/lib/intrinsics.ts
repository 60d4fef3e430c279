// CloudFormation's functions, as far as they can be worked out at synth: parameters can be replaced, and conditions and
// rules become true, false or unknown.

import { Token } from "aws-cdk-lib";
import { isObject, type Json, type JsonObject } from "./template";

/** A name in Fn::Sub's text: ${Name} or ${Name.Attribute}, but not ${!Literal}. */
export const SUB_NAME = /\$\{([^!${}][^${}]*)\}/g;

/** The function `node` calls, and its argument: [name, argument]. Undefined when it is no function. */
export function functionOf(node: Json): [string, Json] | undefined {
  if (!isObject(node)) return undefined;
  const [entry, ...more] = Object.entries(node);
  if (!entry || more.length > 0) return undefined;
  const [name] = entry;
  return name === "Ref" || name === "Condition" || name.startsWith("Fn::") ? entry : undefined;
}

/** Fn::Sub's argument as its text and its own variables. */
export function subOf(argument: Json): [string, JsonObject] {
  return Array.isArray(argument) ? [String(argument[0]), (argument[1] ?? {}) as JsonObject] : [String(argument), {}];
}

/** `node` with `change` applied to each of its parts. */
export function mapParts(node: Json, change: (part: Json) => Json): Json {
  if (Array.isArray(node)) return node.map(change);
  if (!isObject(node)) return node;
  return Object.fromEntries(Object.entries(node).map(([key, part]) => [key, change(part)]));
}

/** `node` with every parameter in `replacements` replaced: by a value, or by a reference to another parameter. */
export function substitute(node: Json, replacements: ReadonlyMap<string, Json>): Json {
  const [name, argument] = functionOf(node) ?? [];
  if (name === "Ref") return replacements.get(String(argument)) ?? node;
  if (name === "Fn::Sub" && argument !== undefined) {
    const [text, own] = subOf(argument);
    const variables = mapParts(own, (part) => substitute(part, replacements)) as JsonObject;
    const changed = text.replaceAll(SUB_NAME, (whole, key: string) => {
      const replacement = key in own ? undefined : replacements.get(key);
      if (replacement === undefined) return whole;
      const [, other] = functionOf(replacement) ?? [];
      if (typeof other === "string") return `\${${other}}`;
      // As a variable of the Sub, since a value may hold ${ or be known only when deployed.
      variables[key] = replacement;
      return whole;
    });
    return { "Fn::Sub": Object.keys(variables).length > 0 ? [changed, variables] : changed };
  }
  return mapParts(node, (part) => substitute(part, replacements));
}

/** The parameters among `values` that `node` reads. */
export function parametersIn(node: Json, values: ReadonlyMap<string, Json>): string[] {
  const [name, argument] = functionOf(node) ?? [];
  if (name === "Ref") return values.has(String(argument)) ? [String(argument)] : [];
  const own = name === "Fn::Sub" ? [...subOf(argument ?? "")[0].matchAll(SUB_NAME)].map(([, key = ""]) => key) : [];
  const parts = Array.isArray(node) ? node : isObject(node) ? Object.values(node) : [];
  return [...own.filter((key) => values.has(key)), ...parts.flatMap((part) => parametersIn(part, values))];
}

/** Whether the condition `node` holds, its parameters being replaced; undefined when only the deployment knows. */
export function truth(node: Json, conditions: JsonObject): boolean | undefined {
  const [name, argument] = functionOf(node) ?? [];
  const list = Array.isArray(argument) ? argument : [];
  const parts = () => list.map((part) => truth(part, conditions));
  switch (name) {
    case "Condition":
      return truth(conditions[String(argument)] ?? null, conditions);
    case "Fn::Equals": {
      if (!list.every(isKnown)) return undefined;
      return String(list[0]) === String(list[1]);
    }
    case "Fn::Contains": {
      const [of, value] = list;
      if (!Array.isArray(of) || !of.every(isKnown) || value === undefined || !isKnown(value)) return undefined;
      return of.map(String).includes(String(value));
    }
    case "Fn::Not": {
      const [part] = parts();
      return part === undefined ? undefined : !part;
    }
    case "Fn::And":
      return parts().includes(false) ? false : parts().includes(undefined) ? undefined : true;
    case "Fn::Or":
      return parts().includes(true) ? true : parts().includes(undefined) ? undefined : false;
    default:
      throw new Error(`Petrel: cannot work out the condition ${JSON.stringify(node)}`);
  }
}

function isKnown(value: Json): boolean {
  return typeof value !== "object" && !Token.isUnresolved(value);
}

/** Fails with the description of the first assertion of `rules` that does not hold. */
export function holdRules(rules: JsonObject, conditions: JsonObject) {
  for (const [name, rule] of Object.entries(rules)) {
    const { RuleCondition: when, Assertions: assertions } = rule as { RuleCondition?: Json; Assertions: JsonObject[] };
    if (when !== undefined && truth(when, conditions) !== true) continue;
    for (const { Assert: assert, AssertDescription: description } of assertions) {
      if (truth(assert ?? null, conditions) === false) throw new Error(`Petrel: ${String(description ?? `the rule ${name} does not hold`)}`);
    }
  }
}
