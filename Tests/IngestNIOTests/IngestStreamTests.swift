#if NIO
  import CIngestKernel
  import Glibc
  import Ingest
  import IngestNIO
  import IngestTestSupport
  import NIOCore
  import RingCore
  import Testing

  /// Connects to the port, sends all of it, and closes.
  private func sendOverLoopback(_ content: [UInt8], port: UInt16) {
    let client = LoopbackClient(to: loopback(AF_INET, port: port))
    _ = client.send(content)
  }

  // Senders block, so they have threads of their own: a task's thread is one of few.

  @Suite("the sequence for SwiftNIO", .timeLimit(.minutes(2)))
  struct IngestStreamTests {
    private func stream(_ change: (inout ReceiveConfiguration) -> Void = { _ in }) throws
      -> IngestStream
    {
      var configuration = ReceiveConfiguration()
      configuration.listen = "127.0.0.1"
      configuration.port = 0
      configuration.area = 1 << 20
      change(&configuration)
      return try IngestStream(configuration)
    }

    @Test("bytes of several connections come in order, and every buffer goes back")
    func bytes() async throws {
      var generator = SeededGenerator(seed: 1)
      let contents = (0..<3).map { _ in generator.bytes(700_000) }
      let stream = try stream { $0.connections = 3 }
      let port = try #require(stream.endpoints.first).raw.port
      let senders = contents.map { content in
        TestThread { sendOverLoopback(content, port: port) }
      }
      var got: [UInt64: [UInt8]] = [:]
      var ends: [StreamEnd] = []
      for await batch in stream {
        for element in batch {
          switch element {
          case .opened(let connection): got[connection.serial] = []
          case .bytes(let buffer, let connection):
            got[connection]?.append(contentsOf: buffer.readableBytesView)
          case .closed(let end, _): ends.append(end)
          }
        }
      }
      for sender in senders { sender.join() }
      #expect(Set(got.values) == Set(contents))
      #expect(ends == [.finished, .finished, .finished])
      let report = stream.report()
      #expect(report.failure == nil)
      #expect(report.counters.bytes == 2_100_000)
    }

    @Test("kept buffers hold the sender back; slices and copies keep them alive")
    func kept() async throws {
      let content = [UInt8](repeating: 7, count: 8 << 20)
      let stream = try stream {
        $0.connections = 1
        $0.buffer = 16384
      }
      let port = try #require(stream.endpoints.first).raw.port
      let sender = TestThread { sendOverLoopback(content, port: port) }
      var slices: [ByteBuffer] = []
      var count = 0
      for await batch in stream {
        for case .bytes(let buffer, _) in batch {
          count += buffer.readableBytes
          // A slice keeps all of its lease, and a lease its buffer: 16 of the area's 64 at a time.
          if let slice = buffer.getSlice(at: buffer.readerIndex, length: 1) {
            slices.append(slice)
          }
          if slices.count == 16 {
            #expect(slices.allSatisfy { $0.getInteger(at: $0.readerIndex) == UInt8(7) })
            slices = []
          }
        }
      }
      sender.join()
      #expect(count == content.count)
    }

    @Test("writing to a buffer leaves the area alone")
    func written() async throws {
      let stream = try stream { $0.connections = 1 }
      let port = try #require(stream.endpoints.first).raw.port
      let sender = TestThread {
        sendOverLoopback([UInt8](repeating: 1, count: 5000), port: port)
      }
      var sum = 0
      for await batch in stream {
        for case .bytes(var buffer, _) in batch {
          buffer.writeRepeatingByte(2, count: 10_000)
          sum += buffer.readableBytesView.reduce(0) { $0 + Int($1) }
        }
      }
      sender.join()
      #expect(sum % 20_000 == 5000 % 20_000)
    }

    @Test("buffers outlive the sequence's end, also when it was asked for")
    func outliving() async throws {
      let content = [UInt8](repeating: 9, count: 100_000)
      let stream = try stream()
      let port = try #require(stream.endpoints.first).raw.port
      let sender = TestThread { sendOverLoopback(content, port: port) }
      var kept: [ByteBuffer] = []
      for await batch in stream {
        for event in batch {
          if case .bytes(let buffer, _) = event { kept.append(buffer) }
          if case .closed = event { stream.stop() }
        }
      }
      sender.join()
      // Time for an end that did not wait for them.
      try await Task.sleep(for: .milliseconds(300))
      #expect(kept.reduce(0) { $0 + $1.readableBytes } == content.count)
      #expect(kept.allSatisfy { $0.readableBytesView.allSatisfy { $0 == 9 } })
      kept = []
      #expect(stream.report().failure == nil)
    }

    @Test("a consumer that goes away ends the receiver")
    func abandoned() async throws {
      let stream = try stream()
      let port = try #require(stream.endpoints.first).raw.port
      let sender = TestThread {
        sendOverLoopback([UInt8](repeating: 1, count: 3 << 20), port: port)
      }
      let task = Task {
        for await batch in stream where !batch.isEmpty { return }
      }
      await task.value
      stream.stop()
      for await _ in stream {}
      _ = stream.report()
      sender.join()
    }
  }
#endif
