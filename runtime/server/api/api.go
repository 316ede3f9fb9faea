// Package api is the wire format of Warren's API: messages generated from warren.proto, and what both ends of it share,
// namely how errors, log lines and images travel. Nobody but runtime/server and runtime/store/grpcstore needs it.
package api

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative warren.proto

// Bounds of messages and connections, the same on both sides.
const (
	// MaxMessage is the most bytes that one message may have.
	MaxMessage = 16 << 20
	// StreamWindow and ConnWindow are how much may be under way to somebody who has not read it yet, in one stream and in all of
	// a connection. Left to itself gRPC measures what a line carries, by a ping for each message that comes after a pause: with
	// many nodes the pings cost more than the signs of life that they follow.
	StreamWindow, ConnWindow = 256 << 10, 1 << 20
	// Part is the size at which lists, big commits and archives are cut into several messages. gRPC keeps buffers of up to
	// 32 KiB, and for any message above that one of 1 MiB.
	Part = 30 << 10
	// Window is the most bytes of input that may be on their way to a command that has not read them. So whoever receives
	// them never has to wait, and a signal behind them is heard.
	Window = 256 << 10
	// Piece is the size of one message of a byte stream.
	Piece = Part
)

// Info says who answers and how it is.
type Info struct {
	Version   string  `json:"version"`
	Node      string  `json:"node"`
	ClusterID string  `json:"clusterID"`
	Revision  int64   `json:"revision"`
	Leader    bool    `json:"leader"`
	Ready     []Check `json:"ready"`
}

// Check is one thing that must be well for a node to count as ready.
type Check struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message,omitempty"`
}
