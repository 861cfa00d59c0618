module local.test/peer

go 1.25.0

replace local.test/ready => ../ready

require (
	github.com/lonng/nano v0.5.0
	local.test/ready v0.0.0
)

require (
	github.com/golang/protobuf v1.3.1 // indirect
	github.com/gorilla/websocket v1.4.0 // indirect
	golang.org/x/net v0.0.0-20190509222800-a4d6f7feada5 // indirect
	golang.org/x/sys v0.0.0-20190509141414-a5b02f93d862 // indirect
	golang.org/x/text v0.3.2 // indirect
	google.golang.org/genproto v0.0.0-20190508193815-b515fa19cec8 // indirect
	google.golang.org/grpc v1.20.1 // indirect
)
