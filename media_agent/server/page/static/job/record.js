// The record of a job that has ended: what was asked, sent, delivered and paid.

import { address, call } from "../lib/api.js"
import { facts, h, place } from "../lib/dom.js"
import { bytes, clock, isOver, money, moment, plain, seconds } from "../lib/words.js"

export function buildRecord(id, signal) {
  const path = `jobs/${encodeURIComponent(id)}/record`
  const element = place("section", { class: "card" }, (record) => (record === null ? [] : showRecord(record, path)))
  let wanted = ""

  return {
    element,
    async show(job) {
      const version = `${job.status} ${job.updated_at}`
      if (!isOver(job.status) || wanted === version) return
      wanted = version
      try {
        element.show(await call(path, { signal }))
      } catch (error) {
        if (error.status !== 404) wanted = "" // there is none of a job that never began
      }
    },
  }
}

function showRecord(record, path) {
  const { delivered, times, cost, lineage } = record
  const video = record.artifacts[0]
  return [
    h("h2", {}, "Record"),
    facts([
      ["Delivered", delivered && `${plain(delivered)}, ${delivered.fps} fps, ${seconds(delivered.duration)}`],
      ["Of what was planned", record.fraction_delivered === null ? null : `${Math.round(record.fraction_delivered * 100)} %`],
      ["File", video && bytes(video.size_bytes)],
      ["Took", seconds(times.seconds)],
      ["First chunk after", seconds(times.backend.first_chunk_seconds)],
      ["Finished", moment(times.finished_at)],
      ["Cost", money(cost.usd) + (cost.source ? ` (${cost.source})` : "")],
      ["Seed", record.seed],
      ["Checked", record.verification.level + (record.verification.note ? `: ${record.verification.note}` : "")],
      ["Computed on", lineage.computation && `${lineage.computation.device}, ${lineage.computation.dtype}`],
      ["Branch of", lineage.parent_job],
      ["Asked before, refused", record.refused.map((each) => `${each.backend}: ${each.error.message}`).join("; ")],
    ]),
    record.shots.length > 1
      ? h("ol", { class: "shots" }, ...record.shots.map((each) => h("li", {},
        h("span", { class: "time" }, `${clock(each.start)}–${each.end === null ? "" : clock(each.end)}`),
        h("p", { class: "prompt" }, each.prompt_sent))))
      : null,
    record.seams.length > 0
      ? h("p", { class: "hint" }, `Seams at ${record.seams.map((each) => seconds(each.seconds)).join(", ")}.`)
      : null,
    h("details", {}, h("summary", {}, "As JSON"), h("pre", { tabindex: "0" }, JSON.stringify(record, null, 2)),
      h("p", {}, h("a", { href: address(path), download: `${record.job_id}.json` }, "Download the record"))),
  ]
}
