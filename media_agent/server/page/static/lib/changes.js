// What differs between what was asked and what is used; and what was left to the model.

import { h } from "./dom.js"
import { plain } from "./words.js"

/** Return the changes of what was asked under a heading, then what was chosen where nothing was asked. */
export function showChanges(adjustments, heading) {
  const changed = adjustments.filter((each) => each.asked !== null)
  const chosen = adjustments.filter((each) => each.asked === null && each.field !== "mode")
  return [
    changed.length === 0 ? null : [heading, h("ul", { class: "changes" }, ...changed.map((each) => h("li", {},
      h("p", {}, h("b", {}, nameOf(each.field)), ": ", h("del", {}, plain(each.asked)), " ", h("ins", {}, plain(each.used))),
      h("p", { class: "hint" }, each.reason))))],
    chosen.length === 0 ? null : h("p", { class: "hint" }, "Left open, so chosen for you: ",
      chosen.map((each) => `${nameOf(each.field)} ${plain(each.used)}`).join(", "), "."),
  ]
}

const nameOf = (field) => field.replaceAll("_", " ")
