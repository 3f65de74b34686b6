import ErrorLines
import IngestMain

IngestProgram.main { _ in ErrorLines() }
