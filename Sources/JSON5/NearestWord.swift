/// The known word with the fewest changes, if they are few enough to be a slip.
package func nearest(to word: String, among known: [String]) -> String? {
  let wanted = Array(word.lowercased().utf8)
  var best: (word: String, distance: Int)?
  for candidate in known {
    let distance = changes(from: wanted, to: Array(candidate.lowercased().utf8))
    if distance < best?.distance ?? .max { best = (candidate, distance) }
  }
  guard let best, best.distance <= max(2, wanted.count / 3) else { return nil }
  return best.word
}

/// Levenshtein's distance.
private func changes(from: [UInt8], to: [UInt8]) -> Int {
  var row = Array(0...to.count)
  for (index, byte) in from.enumerated() {
    var diagonal = row[0]
    row[0] = index + 1
    for column in to.indices {
      let kept = diagonal + (byte == to[column] ? 0 : 1)
      diagonal = row[column + 1]
      row[column + 1] = min(kept, min(row[column], row[column + 1]) + 1)
    }
  }
  return row[to.count]
}
