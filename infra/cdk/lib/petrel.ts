// The construct: Petrel's template.yaml in a stack of one's own. The template is read, not copied: all that differs from
// it is that parameters have the values given as defaults, and that each function's CodeUri is a file asset.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { CfnElement, CfnResource, type CfnDeletionPolicy, Stack, Stage, Token, Validations } from "aws-cdk-lib";
import { Asset } from "aws-cdk-lib/aws-s3-assets";
import { Construct } from "constructs";
import { findBinary, layOut } from "./binaries";
import type { PetrelOutputs, PetrelParameters } from "./generated";
import { functionOf, holdRules, mapParts, parametersIn, SUB_NAME, subOf, substitute, truth } from "./intrinsics";
import { type Given, parameterValues, property, withDefault } from "./parameters";
import { isObject, type Json, type JsonObject, readTemplate } from "./template";

export interface PetrelProps extends PetrelParameters {
  /**
   * The folder with the functions' binaries, as `cargo lambda build`, `sam build` or `cargo build` leave them.
   * Default: target/lambda of the checkout, or of CARGO_TARGET_DIR.
   */
  readonly binaries?: string;
  /** The template. Default: the checkout's, or the one in the package. */
  readonly template?: string;
}

/** dist/lib lies two folders below the package, the package two below the checkout. */
const PACKAGE = join(__dirname, "../..");
const CHECKOUT = join(PACKAGE, "../..");

function defaultTemplate(): string {
  // A packed package carries the template that it was packed with.
  const packed = join(PACKAGE, "template.yaml");
  return existsSync(packed) ? packed : join(CHECKOUT, "template.yaml");
}

/** Petrel, one to a stack. Logical ids are the template's, so a stack that SAM deployed can be carried on. */
export class Petrel extends Construct {
  /** The template's outputs, for this stack and for others of the app. */
  readonly outputs: PetrelOutputs;

  private readonly resources = new Map<string, CfnResource>();
  private readonly conditions: JsonObject;

  constructor(scope: Construct, id: string, props: PetrelProps) {
    super(scope, id);
    const stack = Stack.of(this);
    if (stack.node.findAll().some((other) => other instanceof Petrel && other !== this)) {
      throw new Error(`Petrel: the stack ${stack.stackName} has one already; logical ids are the template's`);
    }

    const { binaries, template: path, ...given } = props;
    const { Parameters = {}, Rules = {}, Resources = {}, ...sections } = readTemplate(path ?? defaultTemplate());
    const values = parameterValues(Parameters, given as Record<string, Given>);
    const known = (node: Json | undefined) => substitute(node ?? {}, values) as JsonObject;
    this.conditions = known(sections["Conditions"]);
    holdRules(known(Rules), this.conditions);

    // SAM makes ids of some values, but not of what a parameter gives. So parameters stay parameters, with the value as
    // default, but for those whose value is a token, which a default cannot be.
    const tokens = new Map([...values].filter(([, value]) => Token.isUnresolved(value)));
    const parameters = [...values]
      .filter(([name]) => !tokens.has(name))
      .map(([name, value]) => [name, ...withDefault(name, Parameters[name] as JsonObject, value)] as const);
    const replacements = new Map<string, Json>([...tokens, ...parameters.map(([name, id]) => [name, { Ref: id }] as const)]);
    const written = (node: Json | undefined) => substitute(node ?? {}, replacements) as JsonObject;

    const [unknown] = parametersIn(sections["Conditions"] ?? {}, tokens);
    if (unknown) throw new Error(`Petrel: ${unknown} is read by a condition of the template, so its value must be known at synth`);

    const globals = (known(sections["Globals"])["Function"] ?? {}) as JsonObject;
    const loose: JsonObject = {};
    for (const [logicalId, resource] of Object.entries(Resources)) {
      // What has no type is a loop or a macro over resources.
      if (isObject(resource) && "Type" in resource) this.addResource(logicalId, written(resource));
      else loose[logicalId] = substitute(resource, replacements);
      if (isFunction(resource)) this.addCode(logicalId, known(resource), globals, binaries ?? defaultBinaries());
    }
    new Sections(this, "Sections", {
      ...written(sections),
      Parameters: Object.fromEntries(parameters.map(([, id, declared]) => [id, declared])),
      // A rule may read nothing but parameters.
      Rules: written(Object.fromEntries(Object.entries(Rules).filter(([, rule]) => parametersIn(rule, tokens).length === 0))),
      Resources: loose,
    });

    acknowledge(this);
    // Values, not parameters, which another stack does not have.
    this.outputs = this.outputsOf(known(sections["Outputs"]));
  }

  /** The resource with this logical id in the template, to refer to or to override. */
  resource(logicalId: string): CfnResource {
    const resource = this.resources.get(logicalId);
    if (!resource) throw new Error(`Petrel: the template has no resource ${logicalId}`);
    return resource;
  }

  private addResource(logicalId: string, definition: JsonObject) {
    const { Type, Properties, DeletionPolicy, UpdateReplacePolicy, Metadata, ...others } = definition;
    const resource = new CfnResource(this, logicalId, { type: String(Type), properties: (Properties ?? {}) as JsonObject });
    resource.overrideLogicalId(logicalId);
    // As options, so that applyRemovalPolicy still works.
    if (DeletionPolicy !== undefined) resource.cfnOptions.deletionPolicy = DeletionPolicy as CfnDeletionPolicy;
    if (UpdateReplacePolicy !== undefined) resource.cfnOptions.updateReplacePolicy = UpdateReplacePolicy as CfnDeletionPolicy;
    if (Metadata !== undefined) resource.cfnOptions.metadata = Metadata as JsonObject;
    for (const [name, value] of Object.entries(others)) resource.addOverride(name, value);
    this.resources.set(logicalId, resource);
  }

  /** Makes a file asset of the function's binary, and its CodeUri of that. */
  private addCode(logicalId: string, definition: JsonObject, globals: JsonObject, binaries: string) {
    const properties = definition["Properties"] as JsonObject;
    const [architecture = "x86_64"] = (properties["Architectures"] ?? globals["Architectures"] ?? []) as string[];
    const build = ((definition["Metadata"] ?? {}) as JsonObject)["BuildProperties"] as JsonObject | undefined;
    // SendFunction is send, unless its metadata name a binary, as they do for cargo-lambda.
    const binary = String(build?.["Binary"] ?? logicalId.replace(/Function$/, "").toLowerCase());
    const found = findBinary(binaries, binary, logicalId, architecture);
    const staged = join(Stage.of(this)?.outdir ?? "cdk.out", "binaries", this.node.addr, binary);
    const asset = new Asset(this, `${logicalId}Code`, { path: layOut(found, staged) });
    this.resource(logicalId).addPropertyOverride("CodeUri", { Bucket: asset.s3BucketName, Key: asset.s3ObjectKey });
  }

  private outputsOf(outputs: JsonObject): PetrelOutputs {
    const entries = Object.entries(outputs as Record<string, JsonObject>).map(([name, output]) => {
      const condition = output["Condition"];
      const isThere = condition === undefined || truth({ Condition: condition }, this.conditions) !== false;
      return [property(name), isThere ? Token.asString(this.referring(output["Value"] ?? "")) : undefined];
    });
    return Object.fromEntries(entries) as PetrelOutputs;
  }

  /** `node` with its references as the CDK's own, which hold from another stack too. */
  private referring(node: Json): Json {
    const [name, argument] = functionOf(node) ?? [];
    const list = Array.isArray(argument) ? argument : [];
    if (name === "Ref") return this.reference(String(argument)) ?? node;
    if (name === "Fn::GetAtt") return this.reference(list.join(".")) ?? node;
    if (name === "Fn::If") {
      const holds = truth({ Condition: list[0] ?? null }, this.conditions);
      if (holds !== undefined) return this.referring(list[holds ? 1 : 2] ?? null);
    }
    if (name === "Fn::Sub") {
      const [text, own] = subOf(argument ?? "");
      const variables = mapParts(own, (part) => this.referring(part)) as JsonObject;
      const renamed = text.replaceAll(SUB_NAME, (whole, key: string) => {
        const reference = key in variables ? undefined : this.reference(key);
        if (reference === undefined) return whole;
        const variable = key.replaceAll(/[^A-Za-z0-9]/g, "");
        variables[variable] = reference;
        return `\${${variable}}`;
      });
      return { "Fn::Sub": Object.keys(variables).length > 0 ? [renamed, variables] : renamed };
    }
    return mapParts(node, (part) => this.referring(part));
  }

  /** A reference to `name`, a resource or Resource.Attribute; undefined when the template does not declare it. */
  private reference(name: string): string | undefined {
    const [logicalId = "", ...attribute] = name.split(".");
    if (logicalId === "AWS::StackName") return Stack.of(this).stackName;
    const resource = this.resources.get(logicalId);
    return attribute.length === 0 ? resource?.ref : resource?.getAtt(attribute.join(".")).toString();
  }
}

/** Everything of the template but its resources, as it stands there. */
class Sections extends CfnElement {
  constructor(
    scope: Construct,
    id: string,
    private readonly sections: JsonObject,
  ) {
    super(scope, id);
  }

  override _toCloudFormation(): object {
    return this.sections;
  }
}

/** Silences the CDK's validation where it cannot know better. */
function acknowledge(petrel: Petrel) {
  const of = (rule: string, reason: string) => Validations.of(petrel).acknowledge({ id: `CloudFormation-Validate::${rule}`, reason });
  of("F1020", "SAM makes the routes and stages that are referred to.");
  of("W1030", "Where an empty parameter would not do, a condition stands.");
}

function defaultBinaries(): string {
  return join(process.env["CARGO_TARGET_DIR"] ?? join(CHECKOUT, "target"), "lambda");
}

/** Whether `resource` is a function that runs a binary of ours. */
function isFunction(resource: Json): boolean {
  if (!isObject(resource) || resource["Type"] !== "AWS::Serverless::Function") return false;
  const properties = (resource["Properties"] ?? {}) as JsonObject;
  return properties["InlineCode"] === undefined && properties["PackageType"] !== "Image";
}
