import Glibc

/// Adds the likely cause to a sentence that tells of a missing right, where the process has given
/// its rights up: a stage that opens a file with the first record knows nothing of that.
package func withPrivilegeHint(_ text: String, dropped: Bool) -> String {
  guard dropped, [EACCES, EPERM].contains(where: { text.contains(words($0)) }),
    !text.contains("--privileges keep")
  else { return text }
  return text
    + "; most likely because the process gave its rights up when it began to listen (--privileges "
    + "drop): open files when a stage is made, write where the sink does, or give --privileges keep"
}

/// What the C library says of an errno, in the words that stages use as well.
private func words(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
