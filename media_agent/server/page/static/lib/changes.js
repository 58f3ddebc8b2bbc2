// What differs between what was asked and what is used.

import { h } from "./dom.js"
import { plain } from "./words.js"

/** Return every change between what was asked and what is used. */
export function changeList(adjustments) {
  return h("ul", { class: "changes" }, ...adjustments.map((each) => h("li", {},
    h("p", {}, h("b", {}, each.field.replaceAll("_", " ")), ": ",
      each.asked === null ? null : [h("del", {}, plain(each.asked)), " "], h("ins", {}, plain(each.used))),
    h("p", { class: "hint" }, each.reason))))
}
