# A container that serves a model:
#
#     docker build -t xlstm .
#     docker run -p 127.0.0.1:8080:8080 -v "$PWD/runs/small:/model:ro" -e XLSTM_API_KEY=secret xlstm
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /xlstm ./train

FROM scratch
COPY --from=build /xlstm /xlstm
USER 65534:65534
EXPOSE 8080
ENTRYPOINT ["/xlstm"]
CMD ["serve", "/model", "-name", "xlstm", "-addr", ":8080"]
