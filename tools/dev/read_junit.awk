# Reads a JUnit file of ctest: `passed NAME`, `failed NAME`, `skipped NAME` and the reason, one a line. What GoogleTest's
# programs print inside it counts test by test: a program that ends early has failed in the test that ran, and has lost those
# that it did not come to (`lost TEXT` and their number). Other entries are a test each.
function unescape(text) {
  gsub(/&quot;/, "\"", text); gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&apos;/, "\047", text)
  gsub(/&amp;/, "\\&", text)
  return text
}
function attribute(key) {
  if (!match($0, " " key "=\"[^\"]*\"")) return ""
  return unescape(substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 4))
}
function says(outcome) {return index($0, "[" outcome "] " test " ") || index($0, "[" outcome "] " test ",")}
function tell(outcome, why) {
  print outcome "\t" test why
  if (outcome == "failed") ++failures
  ++told
  test = ""
}
/<testcase / {
  name = attribute("name"); status = attribute("status")
  tests = test = ended = take = ""; told = failures = 0
}
match($0, /\[==========\] Running [0-9]+ test/) {tests = substr($0, RSTART + 21, RLENGTH - 26) + 0}
/\[==========\] [0-9]+ tests? from .* ran\./ {ended = 1}
match($0, /\[ RUN      \] .+/) {
  if (test != "") tell("failed", " (" name ": no outcome)")
  test = unescape(substr($0, RSTART + 13)); reason = take = ""
}
take && NF {reason = /^\[/ ? "" : unescape($0); take = ""}
/: Skipped$/ && reason == "" {take = 1}
test != "" && says("       OK ") {tell("passed")}
test != "" && says("  SKIPPED ") {tell("skipped", "\t" reason)}
test != "" && says("  FAILED  ") {tell("failed")}
/<\/testcase>/ {
  if (name ~ /^test_.*\/[0-9]+$/ && tests == "") {
    print "failed\t" name ": began no test"
    next
  }
  if (tests == "") {
    print (status == "run" ? "passed" : "failed") "\t" name
    next
  }
  last = test == "" ? "before its first test" : "in " test
  if (test != "") tell("failed", " (" name " ended in it)")
  if (tests > told) print "lost\t" name " ended " last ": " tests - told " tests were not run\t" tests - told
  if ((status != "run" || !ended) && !failures && told == tests) print "failed\t" name ": ended badly after its tests"
}
