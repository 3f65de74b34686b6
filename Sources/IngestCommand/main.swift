import IngestMain

IngestProgram.main()
