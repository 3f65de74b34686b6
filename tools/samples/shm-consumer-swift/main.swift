// Reads what `ingest --sink shm:SOCKET` receives, without a copy of its own.
//
//   shm-consumer SOCKET [DIRECTORY]
//
// Prints records and bytes of each connection when it ends; with a DIRECTORY writes its bytes to a
// file there, named by the connection's number. Exit status 0: the receiver has ended.
import Glibc
import IngestConsumer

/// What came of one connection.
struct Stream {
  var records = 0
  var bytes = 0
  var file: Int32 = -1
}

func fail(_ text: String) -> Never {
  let line = "shm-consumer: \(text)\n"
  _ = unsafe write(2, line, line.utf8.count)
  exit(1)
}

func openFile(_ serial: UInt64, in directory: String?) -> Int32 {
  guard let directory else { return -1 }
  let path = "\(directory)/\(serial)"
  let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
  if file < 0 { fail("\(path): \(unsafe String(cString: strerror(errno)))") }
  return file
}

/// Writes all bytes, straight out of the receiver's memory.
func save(_ bytes: RawSpan, to file: Int32) {
  unsafe bytes.withUnsafeBytes { all in
    var done = 0
    while done < all.count {
      let count = unsafe write(file, all.baseAddress! + done, all.count - done)
      if count <= 0 { fail("write: \(unsafe String(cString: strerror(errno)))") }
      done += count
    }
  }
}

func consume(_ socket: String, into directory: String?) throws(SharedConsumerError) {
  var consumer = try SharedConsumer(path: socket)
  var streams: [UInt64: Stream] = [:]
  while let record = try consumer.next() {
    switch record.kind {
    case .opened:
      streams[record.serial] = Stream(file: openFile(record.serial, in: directory))
    case .piece:
      guard var stream = streams[record.serial] else { throw .format }
      let saved: Void? = consumer.withBytes(of: record) { bytes in
        if stream.file >= 0 { save(bytes, to: stream.file) }
      }
      guard saved != nil else { throw .format }
      stream.bytes += record.byteCount
      stream.records += record.isLast ? 1 : 0
      streams[record.serial] = stream
    case .claim:
      consumer.giveBack(record)
    case .closed:
      guard let stream = streams.removeValue(forKey: record.serial) else { throw .format }
      if stream.file >= 0 { close(stream.file) }
      print("connection \(record.serial): \(stream.records) records, \(stream.bytes) bytes")
    }
  }
}

let arguments = CommandLine.arguments
guard arguments.count == 2 || arguments.count == 3 else {
  fail("usage: shm-consumer SOCKET [DIRECTORY]")
}
do throws(SharedConsumerError) {
  try consume(arguments[1], into: arguments.count == 3 ? arguments[2] : nil)
} catch {
  fail("\(error)")
}
