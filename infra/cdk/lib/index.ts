// What an app of one's own may use.

export type { PetrelOutputs, PetrelParameters } from "./generated";
export { Petrel, type PetrelProps } from "./petrel";
